"""After its supervisor was killed, the probe of a task decides whether it was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

from tests.support.supervisors import kill_supervisor

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def lost(provctl: Provctl, **fields: Any) -> str:
    """A run whose task lost its supervisor; with a file `go` it finishes by itself.

    The task counts its attempts. A second task uses its output.
    """
    folder = provctl.folder
    script = (
        f"'x' | save --append '{folder}/tries'; print ready;"
        f" loop {{ if ('{folder}/go' | path exists) {{ break }}; sleep 20ms }};"
        " { ip: 'by the task' }"
    )
    tasks: Dict[str, Any] = {
        "a": {"script": script, **fields},
        "b": {
            "script": "print $args.ip",
            "args": {"ip": {"$output": {"task": "a", "path": "ip"}}},
        },
    }
    run = provctl.submit(provctl.file(tasks, library=str(folder)))
    provctl.until_ready(run)
    kill_supervisor(provctl, run)
    (provctl.folder / "go").touch()
    return run


def tries(provctl: Provctl) -> int:
    """How often the task was started."""
    return len((provctl.folder / "tries").read_text())


_AGAIN = {"on_interrupt": "rerun", "idempotent": True}
_YES = {"script": "{ ip: 'by the probe' }"}


@pytest.mark.parametrize("policy", [{}, _AGAIN, {"on_interrupt": "fail"}])
def test_probe_that_prints_an_output_makes_the_task_succeed(
    provctl: Provctl, policy: Dict[str, Any]
) -> None:
    run = lost(provctl, probe=_YES, **policy)
    provctl("wait", run)
    assert provctl("logs", run, "b").out == "by the probe\n"
    assert tries(provctl) == 1
    assert "its probe reports that it is done" in provctl.task(run, "a")["reason"]


def test_library_call_can_be_a_probe(provctl: Provctl) -> None:
    provctl.text("vm.nu", "export def find [name: string] { {ip: $'of ($name)'} }\n")
    call = {"module": "vm.nu", "command": "find", "args": ["web-1"]}
    run = lost(provctl, probe={"call": call})
    provctl("wait", run)
    assert provctl("logs", run, "b").out == "of web-1\n"


_NOES = [
    {"command": ["false"]},
    {"script": "null"},
    {"script": "false"},
    {"script": "exit 3"},
    {"call": {"module": "no.nu", "command": "main"}},
]


@pytest.mark.parametrize("probe", _NOES, ids=str)
def test_failed_probe_puts_the_task_on_hold(
    provctl: Provctl, probe: Dict[str, Any]
) -> None:
    provctl.text("no.nu", "export def main [] { {success: false, error: 'gone'} }\n")
    run = lost(provctl, probe=probe)
    provctl("wait", run, code=13)
    held = provctl.task(run, "a")
    assert held["status"] == "held"
    assert "probe" in held["reason"]
    said = provctl("workflow", "status", run).out
    for how in ("rerun", "accept", "fail"):
        assert f"provctl resume {run} --{how} a\n" in said
    provctl("workflow", "resume", run, "--rerun", "a")
    provctl("wait", run)
    assert provctl("logs", run, "b").out == "by the task\n"
    assert tries(provctl) == 2


@pytest.mark.parametrize(
    ("policy", "code", "began"), [(_AGAIN, 0, 2), ({"on_interrupt": "fail"}, 13, 1)]
)
def test_failed_probe_applies_the_interrupt_policy(
    provctl: Provctl, policy: Dict[str, Any], code: int, began: int
) -> None:
    run = lost(provctl, probe={"command": ["false"]}, **policy)
    provctl("wait", run, code=code)
    assert tries(provctl) == began


def test_task_without_a_probe_is_on_hold_and_the_commands_are_shown(
    provctl: Provctl,
) -> None:
    run = lost(provctl)
    out = provctl("watch", run, code=13).out
    assert f"  accept as done:  provctl resume {run} --accept a\n" in out
    provctl("workflow", "resume", run, "--fail", "a")
    provctl("wait", run, code=10)
    assert tries(provctl) == 1


def test_successful_command_probe_gives_no_output(provctl: Provctl) -> None:
    command = ["sh", "-c", "echo ready; sleep 30"]
    tasks = {"a": {"command": command, "probe": {"command": ["true"]}}}
    run = provctl.submit(provctl.file(tasks))
    provctl.until_ready(run)
    kill_supervisor(provctl, run)
    provctl("wait", run)


def test_probe_runs_after_a_takeover(provctl: Provctl) -> None:
    """Scheduler and supervisor are killed; the next scheduler runs the probe."""
    tasks = {
        "a": {
            "command": ["sh", "-c", "echo ready; sleep 30"],
            "probe": {"command": ["true"]},
        }
    }
    run = provctl.submit(provctl.file(tasks))
    provctl.until_ready(run)
    provctl.kill_scheduler()
    kill_supervisor(provctl, run)
    provctl("scheduler", "start")
    provctl("wait", run)
