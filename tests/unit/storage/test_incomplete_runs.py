"""A run whose submitter was killed before it was queued is incomplete, not queued."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, List

import pytest

from provctl.core.engine.events import OwnershipTaken
from provctl.runs.summary_cache import RunSummaryCache
from provctl.storage.lock import Lock
from provctl.storage.retention import RetentionPolicy, remove, select_for_removal
from provctl.storage.run_summary import summaries, summarise
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir, StateDir

DAY_S = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


def left(folder: StateDir, run: str = "r") -> RunDir:
    """The remains of a submit killed some minutes ago; submitted at 1000."""
    made = submit(folder, a_workflow(task("a")), run)
    os.utime(str(made.journal), (0, 0))
    return made


def going(folder: StateDir, now: float) -> List[str]:
    limits = RetentionPolicy(keep=0)
    chosen = select_for_removal(folder, summaries(folder), limits, now, len)
    assert all(each.why == "incomplete" for each in chosen)
    return [each.run.id for each in chosen]


def test_run_without_marker_and_owner_is_incomplete(folder: StateDir) -> None:
    run = left(folder)
    assert summarise(run).status == "incomplete"
    folder.enqueue("r")
    assert summarise(run).status == "queued"


def test_new_run_is_not_incomplete(folder: StateDir) -> None:
    assert summarise(submit(folder, a_workflow(task("a")))).status == "queued"


def test_run_that_had_an_owner_is_not_incomplete(folder: StateDir) -> None:
    run = left(folder)
    lock = Lock.acquire(run.lock)
    assert lock is not None
    assert summarise(run).status == "queued"
    lock.release()
    append(run, [OwnershipTaken("r", 1001.0, "foreground", 1, "boot")])
    os.utime(str(run.journal), (0, 0))
    assert summarise(run).status == "queued"


def test_run_is_not_incomplete_during_a_submission_and_is_kept(
    folder: StateDir,
) -> None:
    run = left(folder)
    with folder.submitting(), folder.submitting():  # any number of them
        assert summarise(run).status == "queued"
        assert remove(folder, ["r"]) == []
    assert summarise(run).status == "incomplete"


def test_incomplete_run_is_removed_after_a_day_or_when_named(folder: StateDir) -> None:
    left(folder)
    assert going(folder, 1000.0 + DAY_S - 1) == []
    assert going(folder, 1000.0 + DAY_S + 1) == ["r"]
    folder.pin("r")
    assert going(folder, 1000.0 + DAY_S + 1) == []
    folder.unpin("r")
    assert remove(folder, ["r"]) == ["r"]
    assert folder.run_ids() == []


def test_run_queued_after_it_was_chosen_is_kept(folder: StateDir) -> None:
    left(folder)
    folder.enqueue("r")
    assert remove(folder, ["r"]) == []
    assert folder.run_ids() == ["r"]


def test_summary_cache_shows_that_a_run_became_incomplete(
    folder: StateDir, tmp_path: Path
) -> None:
    run = submit(folder, a_workflow(task("a")))

    def word() -> str:
        (found,) = RunSummaryCache(folder, tmp_path / "cache").every()
        return found.status_word

    assert word() == "queued"
    about = run.journal.stat()
    append(run, [])  # it looks the same, but for its time
    os.utime(str(run.journal), ns=(0, about.st_mtime_ns - 10**12))
    assert word() == "incomplete"
    assert word() == "incomplete"
    folder.enqueue("r")
    assert word() == "queued"
