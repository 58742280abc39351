"""The accounts for lists are those on disk, whether they come from the cache or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

import pytest

from provctl.app.accounts import WORTH_IT, accounts
from provctl.core import events as ev
from provctl.journal.summary import summaries
from provctl.shelf import read_shelf, write_shelf
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.journal.folder import StateFolder

ONE = a_workflow(task("a"))


def finished(folder: StateFolder, number: int) -> None:
    run = submit(
        folder, ONE, f"r{number:03d}", at=1000.0 + number, labels={"n": str(number)}
    )
    append(run, [ev.RunFinished(run.id, 2000.0, "succeeded")])


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Enough finished runs, and one that is queued."""
    folder = state_folder(tmp_path)
    for number in range(WORTH_IT):
        finished(folder, number)
    submit(folder, ONE, "queued", at=5000.0)
    return folder


def shelves(cache: Path) -> List[Path]:
    return list((cache / "accounts").iterdir()) if cache.exists() else []


def test_what_is_kept_is_what_was_read(folder: StateFolder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    every = summaries(folder)
    assert accounts(folder, cache) == every
    (shelf,) = shelves(cache)
    assert shelf.stat().st_mode & 0o077 == 0
    assert accounts(folder, cache) == every


def test_it_is_the_cache_that_answers(folder: StateFolder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    accounts(folder, cache)
    (shelf,) = shelves(cache)
    head = shelf.read_text().splitlines()[1]
    rows = read_shelf(shelf, head)
    assert len(rows) == WORTH_IT
    write_shelf(shelf, head, {k: v.replace('"w"', '"x"') for k, v in rows.items()})
    names = [run.name for run in accounts(folder, cache)]
    assert names == ["x"] * WORTH_IT + ["w"]


def test_a_run_that_goes_on_is_read_again(folder: StateFolder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    accounts(folder, cache)
    append(folder.run("r007"), [ev.RetryRequested("r007", 3000.0, ["a"])])
    assert accounts(folder, cache) == summaries(folder)
    assert accounts(folder, cache)[7].outcome is None


def test_damage_to_a_journal_or_the_cache_is_seen(
    folder: StateFolder, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    accounts(folder, cache)
    journal = folder.run("r007").journal
    journal.write_bytes(b"x" + journal.read_bytes()[1:])
    damaged = [run.id for run in accounts(folder, cache) if run.status == "damaged"]
    assert damaged == ["r007"]
    (shelf,) = shelves(cache)
    shelf.write_bytes(shelf.read_bytes()[:-20])
    assert accounts(folder, cache) == summaries(folder)


def test_of_few_runs_nothing_is_kept(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    finished(folder, 1)
    assert accounts(folder, tmp_path / "cache") == summaries(folder)
    assert not shelves(tmp_path / "cache")
