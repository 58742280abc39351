"""Exit records, journals and run folders that are missing or belong elsewhere.

Finished tasks do not run again, no result is taken for another one, and other runs
continue.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.attempts import alive, command_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

_DAMAGED = 33
_QUEUED = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}


def _started(provctl: Provctl, exit_code: int = 0) -> str:
    """A run whose task runs until there is a file `over`."""
    script = (
        f'echo "$PROVCTL_RUN" >> "{provctl.folder}/ran"; echo ready; '
        f'until [ -e "{provctl.folder}/over" ]; do sleep 0.02; done; exit {exit_code}'
    )
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.until_ready(run)
    return run


def _end_without_owner(provctl: Provctl) -> None:
    """Kill the scheduler, then let the tasks finish: only exit records say how."""
    provctl.kill_scheduler()
    (provctl.folder / "over").touch()
    provctl.until(lambda: not provctl.processes(), "no process is left")


def _go(provctl: Provctl, run: str) -> Path:
    return provctl.state / "runs" / run / "attempts" / "0.1.go"


def _times(provctl: Provctl, run: str) -> int:
    return (provctl.folder / "ran").read_text().split().count(run)


def _is_told(provctl: Provctl, *runs: str) -> None:
    """Check that scheduler, `verify` and `doctor` name these runs; others continue."""
    other = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
    provctl("wait", other)
    told = provctl("scheduler", "logs").out
    verified = provctl("journal", "verify", "-o", "json", code=_DAMAGED).json()
    verdicts = {row["id"]: row["verdict"] for row in verified}
    checked = provctl("doctor", code=None)
    assert checked.code in (_DAMAGED, 52), "nothing is wrong but that, or a tool"
    for run in runs:
        assert f"run {run}: " in told
        assert verdicts[run] == "damaged"
        assert run in checked.out
    assert verdicts[other] == "ok"


@pytest.mark.parametrize("how", ["missing", "void", "elsewhere"])
def test_attempt_without_exit_record_is_lost_and_not_repeated(
    provctl: Provctl, how: str
) -> None:
    run = _started(provctl)
    _end_without_owner(provctl)
    go = _go(provctl, run)
    go.unlink()
    if how != "missing":
        go.symlink_to("void" if how == "void" else provctl.folder / "over")
    assert "its exit record is missing" in provctl("workflow", "status", run).out
    provctl("scheduler", "start")
    provctl.until(lambda: provctl.task(run, "a")["status"] == "held", "it is held")
    assert provctl.task(run, "a")["attempts"] == 1
    assert _times(provctl, run) == 1


def test_control_attempt_without_any_trace_runs(provctl: Provctl) -> None:
    run = _started(provctl)
    _end_without_owner(provctl)
    _go(provctl, run).unlink()
    provctl.log(run).unlink()
    provctl("scheduler", "start")
    provctl("wait", run)
    assert _times(provctl, run) == 2


def test_older_copy_of_a_journal_does_not_repeat_attempts(provctl: Provctl) -> None:
    file = provctl.endless(f'echo "$PROVCTL_RUN" >> "{provctl.folder}/ran"')
    run = provctl.submit(file, env=_QUEUED)
    journal = provctl.state / "runs" / run / "journal.jsonl"
    older = journal.read_bytes()
    provctl("scheduler", "start")
    provctl.until_ready(run)
    provctl.kill_everything()
    journal.write_bytes(older)
    _go(provctl, run).unlink()
    provctl("scheduler", "start")
    provctl.until(lambda: provctl.task(run, "a")["status"] == "held", "it is held")
    assert _times(provctl, run) == 1


def test_verify_reports_a_finished_attempt_without_exit_record(
    provctl: Provctl,
) -> None:
    run = provctl.submit(provctl.file({"a": {"command": ["true"]}}))
    provctl("wait", run)
    provctl("journal", "verify", run)
    _go(provctl, run).unlink()
    said = provctl("journal", "verify", run, code=_DAMAGED)
    assert str(_go(provctl, run)) in said.out + said.err


def test_swapped_exit_records_are_not_used(provctl: Provctl) -> None:
    well, badly = _started(provctl), _started(provctl, exit_code=3)
    _end_without_owner(provctl)
    aside = provctl.folder / "aside"
    _go(provctl, well).rename(aside)
    _go(provctl, badly).rename(_go(provctl, well))
    aside.rename(_go(provctl, badly))
    _is_told(provctl, well, badly)
    assert (_times(provctl, well), _times(provctl, badly)) == (1, 1)
    # The control: each in its place they are what happened.
    _go(provctl, well).rename(aside)
    _go(provctl, badly).rename(_go(provctl, well))
    aside.rename(_go(provctl, badly))
    provctl("scheduler", "restart")
    provctl("wait", well)
    provctl("wait", badly, code=10)


def test_swapped_run_folders_are_damaged(provctl: Provctl) -> None:
    one, two = _started(provctl), _started(provctl, exit_code=3)
    _end_without_owner(provctl)
    runs = provctl.state / "runs"
    (runs / one).rename(runs / ".aside")
    (runs / two).rename(runs / one)
    (runs / ".aside").rename(runs / two)
    listed = {row["id"]: row["status"] for row in provctl("ps", "-o", "json").json()}
    assert listed == {one: "damaged", two: "damaged"}
    provctl("workflow", "status", one, code=_DAMAGED)
    _is_told(provctl, one, two)
    assert (_times(provctl, one), _times(provctl, two)) == (1, 1)


def test_copied_run_folder_is_damaged(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless(), env=_QUEUED)
    runs = provctl.state / "runs"
    shutil.copytree(str(runs / run), str(runs / "copy"))
    (provctl.state / "queue" / "copy").touch()
    _is_told(provctl, "copy")
    assert not provctl.log("copy").exists(), "nothing of it ran"
    provctl.until_ready(run)


def test_copied_state_directory_does_not_affect_tasks_of_the_original(
    provctl: Provctl,
) -> None:
    run = _started(provctl)
    provctl.kill_scheduler()
    # Others end by themselves: what waited for the scheduler's orders, each `sleep`.
    (task,) = [p for p in provctl.processes() if command_of(p)[:2] == ["sh", "-c"]]
    copy = provctl.folder / "copy"
    shutil.copytree(
        str(provctl.state), str(copy), ignore=shutil.ignore_patterns("*.sock")
    )
    there = {"PROVCTL_STATE_DIR": str(copy)}
    provctl("scheduler", "start", env=there)

    def is_held() -> bool:
        told = provctl("status", run, "-o", "json", env=there).json()
        return bool(told["tasks"][0]["status"] == "held")

    provctl.until(is_held, "nobody can know there how it ended")
    assert alive(task)
    provctl("scheduler", "stop", env=there)
    (provctl.folder / "over").touch()
    provctl("scheduler", "start")
    provctl("wait", run)
    assert _times(provctl, run) == 1
