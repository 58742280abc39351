"""The roster says of every run what it is, and reads only what has grown."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, List

import pytest

from provctl.app.roster import Roster
from provctl.core.events import CancelRequested, RunFinished
from provctl.errors import StateUnusable
from provctl.journal.folder import StateFolder
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

ONE = a_workflow(task("a"))


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    folder = state_folder(tmp_path)
    for number, run in enumerate(("old", "new", "mid")):
        at = {"old": 1.0, "mid": 2.0, "new": 3.0}[run]
        submit(folder, replace(ONE, name=f"w{number}\t\\"), run, at=at, batch="b-1")
    return folder


def ids(roster: Roster) -> List[str]:
    return [run.id for run in roster.newest()]


def test_the_newest_comes_first(folder: StateFolder, tmp_path: Path) -> None:
    for _ in ("read", "kept"):
        roster = Roster(folder, tmp_path / "cache")
        assert ids(roster) == ["new", "mid", "old"]
        assert roster.newest()[0] == ("new", "w1\t\\", "queued", 3.0, "b-1")
        assert [run.id for run in roster.newest(most=1)] == ["new"]
        assert [run.id for run in roster.newest(lambda run: "d" in run.id)] == [
            "mid",
            "old",
        ]


@pytest.mark.parametrize(
    ("text", "run"),
    [("@last", "new"), ("o", "old"), ("mid", "mid"), ("", None), ("x", None)],
)
def test_a_run_is_found_by_what_people_type(
    folder: StateFolder, tmp_path: Path, text: str, run: str
) -> None:
    found = Roster(folder, tmp_path / "cache").find(text)
    assert (found and found.id) == run


def test_what_has_grown_is_read_again(folder: StateFolder, tmp_path: Path) -> None:
    def word() -> str:
        return Roster(folder, tmp_path / "cache").newest(most=1)[0].word

    assert word() == "queued"
    append(folder.run("new"), [CancelRequested("new", 4.0)])
    assert word() == "cancelling"
    append(folder.run("new"), [RunFinished("new", 5.0, "cancelled")])
    assert word() == "cancelled"


def test_what_has_not_grown_is_not_read(folder: StateFolder, tmp_path: Path) -> None:
    first = Roster(folder, tmp_path / "cache").newest()
    for run in first:
        journal = folder.run(run.id).journal
        about = journal.stat()
        # Were it read, it would be said to be damaged.
        journal.write_bytes(b"x" * about.st_size)
        os.utime(str(journal), ns=(about.st_atime_ns, about.st_mtime_ns))
    assert Roster(folder, tmp_path / "cache").newest() == first


def test_runs_come_and_go(folder: StateFolder, tmp_path: Path) -> None:
    assert ids(Roster(folder, tmp_path / "cache")) == ["new", "mid", "old"]
    folder.run("mid").path.rename(tmp_path / "gone")
    submit(folder, ONE, "newest", at=9.0)
    assert ids(Roster(folder, tmp_path / "cache")) == ["newest", "new", "old"]


def test_a_damaged_run_is_named_as_such(folder: StateFolder, tmp_path: Path) -> None:
    folder.run("mid").journal.write_bytes(b"nonsense\n")
    words = {run.id: run.word for run in Roster(folder, tmp_path / "cache").newest()}
    assert words == {"new": "queued", "mid": "damaged", "old": "queued"}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"00000000\nruns 1\nx"])
def test_a_cache_that_is_damaged_or_cannot_be_is_none(
    folder: StateFolder, tmp_path: Path, content: bytes
) -> None:
    cache = tmp_path / "cache"
    assert ids(Roster(folder, cache))[0] == "new"
    (file,) = (cache / "runs").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(content)
    assert ids(Roster(folder, cache))[0] == "new"
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    assert ids(Roster(folder, blocked))[0] == "new"


def test_no_state_directory_has_no_runs(tmp_path: Path) -> None:
    nothing = Roster(StateFolder(tmp_path / "none"), tmp_path / "cache")
    assert (nothing.newest(), nothing.find("@last")) == ([], None)
    (tmp_path / "runs").write_bytes(b"")
    with pytest.raises(StateUnusable):
        Roster(StateFolder(tmp_path), tmp_path / "cache")
