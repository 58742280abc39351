"""Finalizers of real runs: after Ctrl-C once and twice, and after a rollback."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def _gated(provctl: Provctl, name: str) -> Dict[str, Any]:
    """A task that says that it runs, and waits for a file."""
    said, gate = (provctl.folder / f"{name}.{what}" for what in ("runs", "gate"))
    script = f"touch '{said}'; until test -e '{gate}'; do sleep 0.02; done"
    return {"command": ["sh", "-c", f"{script}; echo $PROVCTL_RUN_OUTCOME"]}


def _file(provctl: Provctl) -> Path:
    tasks = {"work": _gated(provctl, "work"), "next": {"command": ["true"]}}
    tasks["next"]["needs"] = [{"task": "work", "on": "done"}]
    last = {"command": ["true"], "needs": [{"task": "release", "on": "done"}]}
    finalizers = {"release": _gated(provctl, "release"), "last": last}
    more: Dict[str, Any] = {"finally": finalizers}
    return provctl.file(tasks, **more)


def _runs(provctl: Provctl, name: str) -> None:
    provctl.until((provctl.folder / f"{name}.runs").exists, f"{name} runs")


def _outcomes(provctl: Provctl) -> Dict[str, str]:
    return {task["id"]: task["outcome"] for task in provctl.status("@last")["tasks"]}


def test_after_ctrl_c_they_run(provctl: Provctl) -> None:
    with provctl.start("run", _file(provctl)) as owner:
        _runs(provctl, "work")
        os.kill(owner.pid, signal.SIGINT)
        _runs(provctl, "release")
        (provctl.folder / "release.gate").touch()
        assert owner.wait(timeout=60) == 11
    assert _outcomes(provctl) == {
        "work": "cancelled",
        "next": "cancelled",
        "release": "succeeded",
        "last": "succeeded",
    }
    assert provctl("logs", "@last", "release").out == "cancelled\n"
    assert "`finally`" in provctl.task("@last", "next")["reason"]


def test_a_second_ctrl_c_ends_them(provctl: Provctl) -> None:
    with provctl.start("run", _file(provctl)) as owner:
        _runs(provctl, "work")
        os.kill(owner.pid, signal.SIGINT)
        _runs(provctl, "release")
        os.kill(owner.pid, signal.SIGINT)
        assert owner.wait(timeout=60) == 11
    assert _outcomes(provctl) == {
        "work": "cancelled",
        "next": "cancelled",
        "release": "cancelled",
        "last": "skipped",
    }
    reason = provctl.task("@last", "last")["reason"]
    assert reason == "a second cancel request skipped it"


def test_explain_says_what_one_waits_for(provctl: Provctl) -> None:
    run = provctl.submit(_file(provctl))
    _runs(provctl, "work")
    said = provctl("explain", f"{run}/release").out
    assert "waits for all tasks of the run to end (2 have not)" in said
    for name in ("work", "release"):
        (provctl.folder / f"{name}.gate").touch()
    provctl("wait", run)
    assert provctl("logs", run, "release").out == "succeeded\n"


def test_a_retry_and_a_rollback_run_them_again(provctl: Provctl) -> None:
    ran = provctl.folder / "ran"
    tasks = {
        "made": {"command": ["true"], "undo": {"command": ["true"]}},
        "work": {"command": ["test", "-e", str(provctl.folder / "ok")]},
    }
    script = f"echo $PROVCTL_RUN_OUTCOME $PROVCTL_FAILED_TASKS >> '{ran}'"
    release = {"command": ["sh", "-c", script]}
    more: Dict[str, Any] = {"finally": {"release": release}}
    file = provctl.file(tasks, **more)
    run = provctl.submit(file)
    provctl("wait", run, code=10)
    (provctl.folder / "ok").touch()
    # A finalizer that succeeded is no reason to ask whether it may run again.
    provctl("workflow", "retry", run, "-w")
    provctl("workflow", "rollback", run, "-w", "--yes")
    assert ran.read_text().splitlines() == [
        'failed ["work"]',
        "succeeded []",
        "rolled_back []",
    ]
