"""The summary cache returns what is on disk and reads only what has grown."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, List

import pytest

from provctl.base.folder_size import size_of
from provctl.base.record_cache import read_cache, write_cache
from provctl.core.engine import events as ev
from provctl.errors import StateDirError
from provctl.runs.summary_cache import RunSummaryCache
from provctl.storage.layout import StateDir
from provctl.storage.lock import Lock
from provctl.storage.run_summary import summaries
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

ONE = a_workflow(task("a"))
LABELS = {"env": "prod", "path/to.x": "a=b\\ ø", "none": ""}


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    folder = state_folder(tmp_path)
    for number, run in enumerate(("old", "new", "mid")):
        at = {"old": 1.0, "mid": 2.0, "new": 3.0}[run]
        workflow = replace(ONE, name=f"w{number}\t\\")
        submit(folder, workflow, run, at=at, batch="b-1", labels=LABELS)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def ids(summary_cache: RunSummaryCache) -> List[str]:
    return [run.id for run in summary_cache.latest()]


def shelf_of(cache: Path) -> Path:
    (file,) = (cache / "runs").iterdir()
    return file


def test_newest_run_comes_first(folder: StateDir, cache: Path) -> None:
    for _ in ("read", "kept"):
        summary_cache = RunSummaryCache(folder, cache)
        assert ids(summary_cache) == ["new", "mid", "old"]
        run = summary_cache.latest()[0]
        assert run[:5] == ("new", "w1\t\\", "queued", None, 3.0)
        assert (run.status_word, run.batch, run.labels) == ("queued", "b-1", LABELS)
        assert [run.id for run in summary_cache.latest(most=1)] == ["new"]
        assert [run.id for run in summary_cache.latest(lambda run: "d" in run.id)] == [
            "mid",
            "old",
        ]


@pytest.mark.parametrize("kind", ["queued", "finished", "owned", "damaged", "gone"])
def test_every_summary_equals_what_is_on_disk(
    folder: StateDir, cache: Path, kind: str
) -> None:
    assert RunSummaryCache(folder, cache).every() == summaries(folder)
    run, lock = folder.run("mid"), None
    if kind == "finished":
        append(run, [ev.RunFinished("mid", 5.5, "cancelled")])
    elif kind == "owned":
        lock = Lock.acquire(run.lock)
    elif kind == "damaged":
        run.journal.write_bytes(b"x" + run.journal.read_bytes()[1:])
    elif kind == "gone":
        run.journal.unlink()
    every = summaries(folder)
    for _ in ("read", "kept"):
        assert RunSummaryCache(folder, cache).every() == every
    assert [run.owned for run in every] == [False, lock is not None, False]
    if lock is not None:
        lock.release()
        assert RunSummaryCache(folder, cache).every() == summaries(folder) != every


def test_reopened_run_is_read_again(folder: StateDir, cache: Path) -> None:
    run = folder.run("mid")
    append(run, [ev.RunFinished("mid", 5.0, "failed")])
    assert RunSummaryCache(folder, cache).every()[1].outcome == "failed"
    append(run, [ev.RetryRequested("mid", 6.0, ["a"])])
    assert RunSummaryCache(folder, cache).every() == summaries(folder)
    assert RunSummaryCache(folder, cache).every()[1].outcome is None


@pytest.mark.parametrize(
    ("text", "run"),
    [("@last", "new"), ("o", "old"), ("mid", "mid"), ("", None), ("x", None)],
)
def test_run_is_found_by_what_users_type(
    folder: StateDir, cache: Path, text: str, run: str
) -> None:
    found = RunSummaryCache(folder, cache).find(text)
    assert (found and found.id) == run


def test_grown_journal_is_read_again(folder: StateDir, cache: Path) -> None:
    def word() -> str:
        return RunSummaryCache(folder, cache).latest(most=1)[0].status_word

    assert word() == "queued"
    append(folder.run("new"), [ev.CancelRequested("new", 4.0)])
    assert word() == "cancelling"
    append(folder.run("new"), [ev.RunFinished("new", 5.0, "cancelled")])
    assert word() == "cancelled"


def test_unchanged_journal_is_not_read(folder: StateDir, cache: Path) -> None:
    first = RunSummaryCache(folder, cache).latest()
    for run in first:
        journal = folder.run(run.id).journal
        about = journal.stat()
        # Were it read, it would be said to be damaged.
        with journal.open("r+b") as file:
            file.write(b"x" * about.st_size)
        os.utime(str(journal), ns=(about.st_atime_ns, about.st_mtime_ns))
    assert RunSummaryCache(folder, cache).latest() == first
    assert RunSummaryCache(folder, cache).every() == first[::-1]
    # One that took the place of another looks like another.
    journal.rename(journal.with_name("away"))
    journal.write_bytes(b"x" * about.st_size)
    os.utime(str(journal), ns=(about.st_atime_ns, about.st_mtime_ns))
    assert [run.status_word for run in RunSummaryCache(folder, cache).every()].count(
        "damaged"
    ) == 1


def test_cache_answers_with_old_data_if_there_is_no_time(
    folder: StateDir, cache: Path
) -> None:
    hurried = RunSummaryCache(folder, cache, within_s=-1.0)
    assert hurried.latest() == []
    RunSummaryCache(folder, cache).latest()
    append(folder.run("new"), [ev.CancelRequested("new", 4.0)])
    known = RunSummaryCache(folder, cache, within_s=-1.0).latest()
    assert [run.status_word for run in known] == ["queued"] * 3


def test_cache_is_not_written_for_each_change(folder: StateDir, cache: Path) -> None:
    (one,) = RunSummaryCache(folder, cache).latest(most=1)
    shelf = shelf_of(cache)
    head = shelf.read_text().splitlines()[1]
    assert len(read_cache(shelf, head)) == 3
    for number in range(200):
        submit(folder, ONE, f"many-{number:03d}", at=one.created_at)
    RunSummaryCache(folder, cache).every()
    assert len(read_cache(shelf, head)) == 203
    before = shelf.read_bytes()
    append(folder.run("new"), [ev.CancelRequested("new", 4.0)])
    assert RunSummaryCache(folder, cache).every()[-1].status == "cancelling"
    assert shelf.read_bytes() == before


def test_new_runs_appear_and_removed_runs_disappear(
    folder: StateDir, cache: Path, tmp_path: Path
) -> None:
    assert ids(RunSummaryCache(folder, cache)) == ["new", "mid", "old"]
    folder.run("mid").path.rename(tmp_path / "gone")
    submit(folder, ONE, "newest", at=9.0)
    assert ids(RunSummaryCache(folder, cache)) == ["newest", "new", "old"]


def test_damaged_run_has_the_status_damaged(folder: StateDir, cache: Path) -> None:
    folder.run("mid").journal.write_bytes(b"nonsense\n")
    words = {run.id: run.status_word for run in RunSummaryCache(folder, cache).latest()}
    assert words == {"new": "queued", "mid": "damaged", "old": "queued"}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"00000000\nruns 1\nx"])
def test_damaged_or_unwritable_cache_is_ignored(
    folder: StateDir, cache: Path, tmp_path: Path, content: bytes
) -> None:
    assert ids(RunSummaryCache(folder, cache))[0] == "new"
    file = shelf_of(cache)
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(content)
    assert ids(RunSummaryCache(folder, cache))[0] == "new"
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    assert ids(RunSummaryCache(folder, blocked))[0] == "new"


def test_summaries_come_from_the_cache(folder: StateDir, cache: Path) -> None:
    RunSummaryCache(folder, cache).every()
    shelf = shelf_of(cache)
    head = shelf.read_text().splitlines()[1]
    rows = read_cache(shelf, head)
    write_cache(shelf, head, {k: v.replace("w1", "x1") for k, v in rows.items()})
    names = [run.name[:2] for run in RunSummaryCache(folder, cache).every()]
    assert names == ["w0", "w2", "x1"]


def test_missing_state_directory_has_no_runs(cache: Path, tmp_path: Path) -> None:
    nothing = RunSummaryCache(StateDir(tmp_path / "none"), cache)
    assert (nothing.latest(), nothing.every(), nothing.find("@last")) == ([], [], None)
    (tmp_path / "runs").write_bytes(b"")
    with pytest.raises(StateDirError):
        RunSummaryCache(StateDir(tmp_path), cache)


def test_latest_runs_equal_those_of_the_whole_list(
    folder: StateDir, cache: Path
) -> None:
    RunSummaryCache(folder, cache).every()
    append(folder.run("mid"), [ev.RunFinished("mid", 5.0, "succeeded")])
    lock = Lock.acquire(folder.run("old").lock)
    assert lock is not None
    every = RunSummaryCache(folder, cache).every()
    assert [(run.id, run.outcome, run.owned) for run in every] == [
        ("old", None, True),
        ("mid", "succeeded", False),
        ("new", None, False),
    ]
    for most in range(4):
        latest = RunSummaryCache(folder, cache).latest(most=most)
        assert latest[::-1] == every[3 - most :]
    lock.release()
    assert not RunSummaryCache(folder, cache).latest()[-1].owned


def test_size_of_a_finished_run_is_cached(folder: StateDir, cache: Path) -> None:
    run = folder.run("new")
    append(run, [ev.RunFinished("new", 5.0, "failed")])

    def sizes() -> List[int]:
        summary_cache = RunSummaryCache(folder, cache)
        summary_cache.every()
        found = [summary_cache.size(each) for each in ("new", "old")]
        summary_cache.keep()
        return found

    before = [size_of(folder.run(each).path) for each in ("new", "old")]
    assert sizes() == before
    for each in ("new", "old"):
        (folder.run(each).path / "more").write_bytes(b"x" * 100_000)
    new, old = sizes()
    assert new == before[0], "it is not counted again"
    assert old >= before[1] + 100_000, "one that goes on is"
    append(run, [ev.RetryRequested("new", 6.0, ["a"])])
    append(run, [ev.RunFinished("new", 7.0, "failed")])
    assert sizes()[0] >= before[0] + 100_000
