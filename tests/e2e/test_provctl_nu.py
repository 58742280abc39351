"""`provctl.nu` with real Nushell: in tasks, in undos and at a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import pytest

from tests.support.nushell import outside

if TYPE_CHECKING:
    from tests.support.installed import Provctl

HOSTILE = "\"'; $(id) `x` \\ {a: 1} \u202e#é"

PLUGIN = Path(__file__).parents[1] / "support" / "nu_plugin_shout"


def task(provctl: Provctl, script: str, **fields: Any) -> Any:
    """Run one task; return its output."""
    provctl("run", provctl.file({"t": {"script": script, **fields}}))
    return provctl("workflow", "outputs", "@last").json()["t"]


def test_progress_and_warnings_are_written_to_the_log(provctl: Provctl) -> None:
    script = """
        use provctl.nu
        provctl progress 40
        provctl progress 12.5 "a\nb"
        provctl progress 3/7 $args.text
        provctl progress "3 / 7"
        provctl progress 100%
        provctl progress null "7 dwarfs"
        provctl warn $"two\nlines ($args.text)"
        (^echo external)
    """
    task(provctl, script, args={"text": HOSTILE})
    shown = HOSTILE.replace("\u202e", "")  # it would reorder what a terminal shows
    assert provctl("logs", "@last", "t").out.splitlines() == [
        "PROGRESS: 40",
        "PROGRESS: 12.5 a b",
        f"PROGRESS: 3/7 {shown}",
        "PROGRESS: 3 / 7",
        "PROGRESS: 100%",
        'PROGRESS: {"message":"7 dwarfs"}',
        f"WARNING: two lines {shown}",
        "external",
    ]


@pytest.mark.parametrize("wrong", ["abc", "'1\\n2'", "{a: 1}", "(0 - 1)", "1/2/3"])
def test_invalid_progress_is_refused(provctl: Provctl, wrong: str) -> None:
    done = outside(provctl, f"use provctl.nu; provctl progress {wrong}")
    assert done.returncode == 1
    assert "progress is percent (40)" in done.stderr


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("provctl output {a: 1}", {"a": 1}),
        ("provctl output {a: 1}; 7", 7),
        ("provctl output {a: 1}; null", {"a": 1}),
        ("provctl output 1; provctl output [2 3]", [2, 3]),
        ("def f [it] { provctl output $it }; f $args.text; print said", HOSTILE),
    ],
)
def test_output_can_be_set_anywhere_in_a_script(
    provctl: Provctl, script: str, output: Any
) -> None:
    assert task(provctl, f"use provctl.nu\n{script}", args={"text": HOSTILE}) == output


def test_invalid_output_is_reported(provctl: Provctl) -> None:
    file = provctl.file({"t": {"script": "use provctl.nu; provctl output {|| 1}"}})
    provctl("run", file, code=10)
    assert "the output cannot become JSON" in provctl("logs", "@last", "t").out
    large = 'use provctl.nu; provctl checkpoint ("" | fill -c x -w 300000)'
    provctl("run", provctl.file({"t": {"script": large}}), code=10)
    assert "larger than 262144 bytes" in provctl("logs", "@last", "t").out


def test_next_attempt_gets_the_last_checkpoint(provctl: Provctl) -> None:
    script = """
        use provctl.nu
        let seen = (provctl checkpoint)
        provctl checkpoint {tries: (($seen.tries? | default []) ++ [$env.PROVCTL_ATTEMPT])}
        if $env.PROVCTL_ATTEMPT != "3" { exit 1 }
        {before: $seen, id: $env.PROVCTL_TASK_ID}
    """
    output = task(provctl, script, retry={"attempts": 3})
    run = provctl.runs()[0]
    assert output == {"before": {"tries": ["1", "2"]}, "id": f"{run}/t"}
    kept = provctl.state / "runs" / run / "attempts" / "0.checkpoint"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.glob("0.checkpoint.*")] == []


def test_killed_attempt_leaves_a_complete_checkpoint(provctl: Provctl) -> None:
    script = """
        use provctl.nu
        let seen = (provctl checkpoint)
        if $seen != null { return ($seen.text | str length) }
        for n in 0.. {
            provctl checkpoint {text: ("" | fill -c x -w (100000 + $n))}
            if $n == 3 { ^sh -c 'kill -9 $PPID' }
        }
    """
    retry = {"attempts": 2, "on": ["signal"]}
    assert task(provctl, script, retry=retry) == 100003


def test_needs_returns_outputs_by_task_name(provctl: Provctl) -> None:
    ask = {"script": "use provctl.nu; provctl needs"}
    tasks: Dict[str, Any] = {
        "a": {"script": "$args.v", "args": {"v": {"$literal": {"text": HOSTILE}}}},
        "large": {"script": '{x: ("" | fill -c x -w 150000)}'},
        "bad": {"script": "exit 1", "on_failure": "continue"},
        "t": {
            **ask,
            "needs": ["a", "large", {"task": "bad", "on": "failure"}],
            "undo": {"script": "use provctl.nu; print (provctl needs | columns)"},
        },
        "none": ask,
    }
    provctl("run", provctl.file(tasks))
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["t"] == {
        "a": {"text": HOSTILE},
        "large": {"x": "x" * 150000},
        "bad": None,
    }
    assert outputs["none"] == {}
    run = provctl.runs()[0]
    # Large ones go by a file, which only its owner can read.
    given = provctl.state / "runs" / run / "attempts" / "3.1.in"
    assert given.stat().st_mode & 0o777 == 0o600


def test_needs_in_a_nested_workflow_uses_its_own_task_names(provctl: Provctl) -> None:
    inner = {
        "name": "inner",
        "tasks": {
            "x": {"script": "5"},
            "y": {"script": "use provctl.nu; provctl needs", "needs": ["x"]},
        },
    }
    tasks = {
        "group": {"workflow": inner},
        "t": {"script": "use provctl.nu; provctl needs", "needs": ["group"]},
    }
    provctl("run", provctl.file(tasks))
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["t"] == {"group": {"x": 5, "y": {"x": 5}}}


def test_provctl_program_can_be_called_beside_the_module(provctl: Provctl) -> None:
    script = "use provctl.nu; ^$env.PROVCTL_PROGRAM workflow list -o json | from json | length"
    assert task(provctl, script) == 1
    done = outside(provctl, "use provctl.nu; ^provctl version")
    assert done.stdout.startswith("provctl 0."), done.stderr


def test_all_commands_can_be_imported_without_prefix(provctl: Provctl) -> None:
    script = "use provctl.nu *; progress 50 half; warn careful; output (needs)"
    assert task(provctl, script) == {}
    assert provctl("logs", "@last", "t").out == "PROGRESS: 50 half\nWARNING: careful\n"


@pytest.mark.parametrize(
    ("text", "out", "error"),
    [
        ("provctl progress 40 x", "", "PROGRESS: 40 x"),
        ("provctl warn x", "", "WARNING: x"),
        ("provctl checkpoint | describe", "nothing", ""),
        ("provctl checkpoint 1", "", "this is not a task"),
        ("provctl output 1", "", "only a task"),
        ("provctl needs", "", "only a task"),
        ("provctl orchestrator-available", "false", ""),
        ("provctl check-orchestrator-health", "", "Orchestrator not available"),
        ("(provctl load-config).orchestrator.auto_start", "true", ""),
        ("(provctl load-config).orchestrator.endpoint", "http://127.0.0.1:9090", ""),
    ],
)
def test_module_works_outside_a_task(
    provctl: Provctl, text: str, out: str, error: str
) -> None:
    done = outside(provctl, f"use provctl.nu; {text}")
    assert done.stdout.strip() == out
    assert error in done.stderr


def test_configured_plugin_works_in_tasks(provctl: Provctl) -> None:
    plugin = provctl.folder / "nu_plugin_shout"
    text = PLUGIN.read_text(encoding="utf-8")
    plugin.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    file = provctl.file({"t": {"script": "shout $args.it", "args": {"it": "é"}}})
    told = {"PROVCTL_NUSHELL_PLUGINS": str(plugin)}
    provctl("run", file, env=told, code=10)  # not a program yet
    assert "plugin" in provctl.task("@last", "t")["reason"]
    plugin.chmod(0o700)
    provctl("run", file, env=told)
    assert provctl("workflow", "outputs", "@last").json() == {"t": "É"}
    provctl("run", file, code=10)  # without it there is no such command
