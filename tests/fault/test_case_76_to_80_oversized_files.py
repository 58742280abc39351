"""Workflow files that are too long, too deep, endless, not text or not files."""

from __future__ import annotations

import json
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE: Dict[str, Any] = {"command": ["true"]}


def _half_a_gigabyte() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))


# -- 76: graphs ------------------------------------------------------------------------


def test_76_chain_of_10000_tasks_is_valid_and_can_be_planned(provctl: Provctl) -> None:
    file = provctl.file(_chain(10_000))
    assert "10000 tasks, valid" in provctl("workflow", "validate", file).out
    plan = provctl("workflow", "plan", file, "-o", "json").json()
    assert [row["id"] for row in plan] == [f"t{n}" for n in range(10_000)]
    assert [row["stage"] for row in plan] == list(range(1, 10_001))


def test_76_cycle_of_10000_tasks_is_reported(provctl: Provctl) -> None:
    tasks = _chain(10_000)
    tasks["t0"]["needs"] = ["t9999"]
    said = provctl("workflow", "validate", provctl.file(tasks), code=50).err
    assert "dependency cycle: t0 -> t9999" in said


def test_76_task_that_needs_itself_is_reported(provctl: Provctl) -> None:
    file = provctl.file({"a": {**TRUE, "needs": ["a"]}})
    assert "needs itself" in provctl("workflow", "validate", file, code=50).err


def test_76_too_many_tasks_are_refused(provctl: Provctl) -> None:
    tasks = {f"t{n}": {"command": ["true"]} for n in range(100_001)}
    said = provctl("workflow", "validate", provctl.file(tasks), code=50).err
    assert "more than 100000 tasks" in said


def _chain(length: int) -> Dict[str, Any]:
    tasks: Dict[str, Any] = {"t0": dict(TRUE)}
    for n in range(1, length):
        tasks[f"t{n}"] = {**TRUE, "needs": [f"t{n - 1}"]}
    return tasks


# -- 77: Nickel ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'import "w.ncl"',
        "let rec xs = [1] @ xs in { tasks.a.command = xs }",
        'let rec f = fun x => f (x + 1) in { tasks.a.command = ["echo", f 0] }',
        'let rec d = fun n => if n == 0 then "x" else d (n - 1) ++ d (n - 1) in'
        ' { tasks.a.command = ["echo", d 30] }',
        'import "none.ncl"',
        'import "/dev/zero"',
        "(" * 200_000,
    ],
    ids=["itself", "list", "loop", "gigabyte", "missing", "device", "brackets"],
)
def test_77_endless_evaluation_reports_its_limit(provctl: Provctl, text: str) -> None:
    limits = {"PROVCTL_NICKEL_TIMEOUT_SECONDS": "3", "PROVCTL_NICKEL_MEMORY_MB": "256"}
    said = provctl("run", provctl.text("w.ncl", text), code=50, env=limits).err
    assert "w.ncl" in said
    assert len(said) < 5000
    assert provctl.runs() == []


def test_77_control_evaluation_limits_accept_other_files(provctl: Provctl) -> None:
    # As much memory. More time, for without an end that would change nothing.
    limits = {"PROVCTL_NICKEL_MEMORY_MB": "256"}
    provctl("run", provctl.text("w.ncl", '{ tasks.a.command = ["true"] }'), env=limits)


# -- 78: bombs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.json", '{"tasks": ' + "[" * 1_000_000),
        ("w.json", '{"tasks": ' + '{"a":' * 200_000 + "1" + "}" * 200_001),
        ("w.json", '{"tasks": {"a": {"command": ["echo", ' + "9" * 100_000 + "]}}}"),
        ("w.json", '{"params": {"x": 1e999}, "tasks": {"a": {"command": ["a"]}}}'),
        ("w.toml", "x = " + "[" * 100_000),
        ("w.toml", ".".join("a" * 50_000) + " = 1"),
        ("w.toml", "x = " + "9" * 100_000),
        ("w.yaml", "a: &a [x, x]\nb: &b [*a, *a]\n"),
    ],
    ids=["open", "deep", "digits", "huge", "toml", "dotted", "toml digits", "yaml"],
)
def test_78_bomb_is_refused_in_bounded_memory(
    provctl: Provctl, name: str, text: str
) -> None:
    file = provctl.text(name, text)
    done = provctl("run", file, code=50, preexec_fn=_half_a_gigabyte)
    assert name in done.err
    assert provctl.runs() == []


def test_78_control_parameter_may_be_used_often(provctl: Provctl) -> None:
    command = ["true", *[{"$param": "x"}] * 3000]
    file = provctl.file({"a": {"command": command}}, params={"x": "x" * 100})
    provctl("run", file, preexec_fn=_half_a_gigabyte)


def test_78_parameter_that_is_used_too_often_is_refused(provctl: Provctl) -> None:
    command = ["echo", *[{"$param": "x"}] * 3000]
    file = provctl.file({"a": {"command": command}}, params={"x": "x" * (1 << 20)})
    done = provctl("run", file, code=50, preexec_fn=_half_a_gigabyte)
    assert "x" * 1000 not in done.err
    assert provctl.runs() == []


# -- 79: what is not UTF-8 ---------------------------------------------------------------

BYTES = os.fsdecode(b"\xff\xfe")


def test_79_environment_variable_that_is_not_text_reaches_no_task(
    provctl: Provctl,
) -> None:
    file = provctl.file({"a": {"script": "$env.LC_NAME? | default none"}})
    provctl("run", file, env={"LC_NAME": BYTES, BYTES: "1", "PROVISIONING_X": BYTES})
    assert provctl("workflow", "outputs", "@last", "a").json() == "none"


def test_79_path_that_is_not_text_is_used_or_refused(provctl: Provctl) -> None:
    folder = provctl.folder / BYTES
    folder.mkdir()
    file = folder / f"{BYTES}.json"
    file.write_text(json.dumps({"name": "w", "tasks": {"a": TRUE}}))
    for args in (("run", file), ("workflow", "validate", file)):
        process = provctl.start(*args)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 50), err
        assert b"Traceback" not in err
        assert b"\xff" not in err + out
    plain = provctl.file({"a": TRUE})
    for args in (("--state-dir", folder / "state"), ("--config", folder / "none")):
        process = provctl.start("run", plain, *args)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 2, 32), err
        assert b"Traceback" not in err
    process = provctl.start("run", plain, cwd=folder)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 10, 32, 50), err
    assert b"Traceback" not in err


def test_79_argument_that_is_not_text_is_refused(provctl: Provctl) -> None:
    file = provctl.file({"a": TRUE}, params={"x": ""})
    for code, args in (
        (40, ("workflow", "status", BYTES)),
        (40, ("cancel", BYTES)),
        (50, ("run", file, "-p", f"x={BYTES}")),
        (50, ("run", file, "-p", f"{BYTES}=1")),
        (2, ("workflow", "submit", file, "--key", BYTES)),
        (2, (BYTES,)),
        (2, ("run", file, f"--{BYTES}")),
    ):
        assert provctl(*args, code=code).out == ""
    assert provctl.runs() == []


def test_79_home_that_is_not_text_is_accepted(provctl: Provctl) -> None:
    home = provctl.folder / BYTES
    home.mkdir()
    file = provctl.file({"a": {"script": "$env.HOME? | default none"}})
    provctl(
        "run", file, env={"XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    )


def test_79_scheduler_accepts_a_state_directory_that_is_not_text(
    provctl: Provctl,
) -> None:
    state = provctl.folder / BYTES
    where = {"PROVCTL_STATE_DIR": str(state)}
    file = provctl.file({"a": TRUE})
    quiet = {**where, "PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    for _ in range(2):
        provctl("workflow", "submit", file, env=quiet)
    damaged, whole = (run / "journal.jsonl" for run in (state / "runs").iterdir())
    damaged.write_bytes(b"x")
    server = provctl.start("scheduler", "serve", env=where)
    provctl.until(lambda: b"run_finished" in whole.read_bytes(), "the other run ends")
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=20)
    assert server.returncode == 0, err
    assert str(damaged).encode("utf-8", "backslashreplace") in err
    log = (state / "scheduler" / "log").read_bytes()
    assert str(damaged).encode("utf-8", "backslashreplace") in log


# -- 80: no files ----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["fifo", "device", "folder", "5 GB", "none", "loop"])
@pytest.mark.parametrize("suffix", ["json", "toml", "ncl"])
def test_80_special_file_is_refused_at_once(
    provctl: Provctl, what: str, suffix: str
) -> None:
    path = provctl.folder / f"w.{suffix}"
    if what == "fifo":
        os.mkfifo(str(path))
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path)
    elif what == "5 GB":
        with path.open("wb") as file:
            file.truncate(5 << 30)
    done = provctl("run", path, code=50, preexec_fn=_half_a_gigabyte)
    assert str(path) in done.err
    assert provctl.runs() == []
