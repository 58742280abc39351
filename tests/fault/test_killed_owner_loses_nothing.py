"""Owners of runs are killed while tasks run; tasks and their results are not lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Dict, List

from tests.support.attempts import alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def test_resume_finishes_a_killed_foreground_run(provctl: Provctl) -> None:
    starts = provctl.folder / "starts"
    run = _killed_foreground_run(provctl, starts)
    with provctl.start("workflow", "resume", run) as owner:
        provctl.until(
            lambda: _kinds(provctl, run).count("attempt_adopted") == 2, "both"
        )
        _open(provctl)
        out, _ = owner.communicate(timeout=60)
        assert owner.returncode == 10
    assert f"run {run} (w) failed" in out.decode()
    assert sorted(starts.read_text().split()) == ["after", "first", "other"]
    tasks = {task["id"]: task for task in provctl.status(run)["tasks"]}
    assert tasks["first"]["exit_code"] == 0
    assert tasks["other"]["exit_code"] == 7
    assert tasks["after"]["outcome"] == "succeeded"
    kinds = _kinds(provctl, run)
    assert kinds.count("attempt_started") == 3
    assert kinds.count("owner_took") == 2


def test_status_says_that_a_killed_foreground_run_is_orphaned(provctl: Provctl) -> None:
    starts = provctl.folder / "starts"
    run = _killed_foreground_run(provctl, starts)
    told = provctl.status(run)
    assert (told["status"], told["outcome"], told["owned"]) == ("running", None, False)
    assert provctl.task(run, "first")["reason"] == "still running, but orphaned"
    said = provctl("workflow", "status", run).out
    assert "this run is stalled" in said
    assert f"provctl resume {run}" in said
    provctl("wait", run, code=30)
    _open(provctl)

    def ended() -> bool:
        reason = "finished with exit code 0, not yet recorded"
        return bool(provctl.task(run, "first")["reason"] == reason)

    provctl.until(ended, "the end of the task is seen")
    assert provctl.task(run, "after")["status"] == "waiting"
    assert "after" not in starts.read_text()


def test_killed_foreground_run_can_be_given_to_the_scheduler(
    provctl: Provctl,
) -> None:
    run = _killed_foreground_run(provctl, provctl.folder / "starts")
    provctl("cancel", run)
    provctl("wait", run, code=11)
    assert provctl.task(run, "after")["outcome"] == "cancelled"


def test_case_37_killed_scheduler_releases_its_locks(provctl: Provctl) -> None:
    script = "echo ready; exec sleep 60"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.wait_for_text(_log(provctl, run), "ready")
    provctl.kill_scheduler()
    provctl("scheduler", "start")  # it waits for nobody
    provctl("cancel", run)
    provctl("wait", run, code=11)


def test_case_26_suspended_scheduler_loses_no_task(provctl: Provctl) -> None:
    go = provctl.folder / "go"
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done; exit 7'
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.wait_for_text(_log(provctl, run), "ready")
    (scheduler,) = provctl.schedulers()
    os.kill(scheduler, signal.SIGSTOP)
    go.touch()
    record = provctl.state / "runs" / run / "attempts" / "0.1.go"
    provctl.wait_for_text(record, '"exit_code":7')
    assert provctl.status(run)["tasks"][0]["status"] == "running"
    os.kill(scheduler, signal.SIGCONT)
    provctl("wait", run, code=10)
    assert provctl.task(run, "a")["exit_code"] == 7


def test_case_25_task_is_lost_and_held_if_shim_and_scheduler_are_killed(
    provctl: Provctl,
) -> None:
    ran = provctl.folder / "ran"
    script = f'echo x >> "{ran}"; echo ready; exec sleep 60'
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.wait_for_text(_log(provctl, run), "ready")
    provctl.kill_everything()
    provctl("scheduler", "start")
    provctl("wait", run, code=13)
    told = provctl.status(run)
    assert (told["status"], told["outcome"]) == ("held", None)
    assert told["tasks"][0]["status"] == "held"
    assert "the result is unknown" in told["tasks"][0]["reason"]
    assert ran.read_text() == "x\n"
    provctl("workflow", "resume", run, "--accept", "a")
    provctl("wait", run)
    assert ran.read_text() == "x\n"


def test_case_25_lost_idempotent_task_runs_again(provctl: Provctl) -> None:
    ran = provctl.folder / "ran"
    script = f'echo x >> "{ran}"; echo ready; [ "$(wc -l < "{ran}")" = 2 ] || sleep 60'
    again = {"idempotent": True, "on_interrupt": "rerun"}
    tasks = {"a": {"command": ["sh", "-c", script], **again}}
    run = provctl.submit(provctl.file(tasks))
    provctl.wait_for_text(_log(provctl, run), "ready")
    provctl.kill_everything()
    provctl("scheduler", "start")
    provctl("wait", run)
    assert ran.read_text() == "x\nx\n"


def _killed_foreground_run(provctl: Provctl, starts: Path) -> str:
    """A run of a dead owner, with two running tasks and one waiting task.

    The tasks run until `_open`.
    """

    def task(code: int, **fields: Any) -> Dict[str, Any]:
        wait = f'until [ -e "{provctl.folder}/go" ]; do sleep 0.02; done'
        script = f'echo "$PROVCTL_TASK" >> "{starts}"; {wait}; exit {code}'
        return {"command": ["sh", "-c", script], **fields}

    tasks = {"first": task(0), "other": task(7)}
    file = provctl.file({**tasks, "after": task(0, needs=["first"])})
    with provctl.start("run", file) as owner:
        provctl.until(
            lambda: starts.exists() and len(starts.read_text().split()) == 2,
            "two tasks run",
        )
        owner.kill()
        owner.communicate(timeout=60)
    assert not alive(owner.pid)
    (run,) = provctl.runs()
    return run


def _open(provctl: Provctl) -> None:
    (provctl.folder / "go").touch()


def _kinds(provctl: Provctl, run: str) -> List[str]:
    return [record["type"] for record in provctl.journal(run)]


def _log(provctl: Provctl, run: str) -> Path:
    return provctl.log(run)
