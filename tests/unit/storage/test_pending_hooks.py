"""Marks of pending hooks: the mark of a new end differs from the one in work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, List, Sequence

import pytest

from provctl.errors import StateDirError
from provctl.storage.pending_hooks import HookLauncher, PendingHooks
from tests.support.resource_limits import no_thread_free
from tests.support.run_folders import state_folder
from tests.support.scheduler_harness import in_a_loop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def marks(tmp_path: Path) -> PendingHooks:
    return PendingHooks(state_folder(tmp_path))


def test_run_is_marked_until_its_hooks_have_run(marks: PendingHooks) -> None:
    assert marks.pending() == []
    marks.add("b")
    marks.add("a")
    marks.add("a")
    assert marks.pending() == ["a", "b"]
    assert marks.claim("a")
    assert marks.pending() == ["a", "b"]  # whoever began may die
    assert marks.claim("a")
    marks.done("a")
    assert marks.pending() == ["b"]
    assert not marks.claim("a")


def test_run_that_finishes_again_meanwhile_is_marked_again(marks: PendingHooks) -> None:
    marks.add("a")
    assert marks.claim("a")
    marks.add("a")
    marks.done("a")
    assert marks.claim("a")


def test_released_mark_is_pending_again(marks: PendingHooks) -> None:
    marks.add("a")
    assert marks.claim("a")
    marks.release("a")
    assert marks.claim("a")
    marks.add("a")
    marks.release("a")
    assert marks.pending() == ["a"]


def test_mark_that_cannot_be_written_is_reported(
    marks: PendingHooks, tmp_path: Path
) -> None:
    (tmp_path / "state" / "hooks").write_text("in the way")
    with pytest.raises(StateDirError):
        marks.add("a")
    assert marks.pending() == []


@in_a_loop
async def test_one_process_at_a_time_gets_all_finished_runs(
    marks: PendingHooks,
) -> None:
    given: List[Sequence[str]] = []
    second = asyncio.Event()

    def start(run_ids: Sequence[str]) -> subprocess.Popen[bytes]:
        given.append(run_ids)
        if len(given) == 2:
            second.set()
        return subprocess.Popen([sys.executable, "-c", ""])

    starter = HookLauncher(start, marks)
    starter.on_run_finished([])
    assert given == []
    starter.on_run_finished(["a"])
    starter.on_run_finished(["b"])
    starter.on_run_finished(["c"])
    assert given == [["a"]]
    await second.wait()
    assert given == [["a"], ["b", "c"]]


@in_a_loop
async def test_process_that_cannot_start_does_not_block_the_next(
    marks: PendingHooks,
) -> None:
    given: List[Sequence[str]] = []
    starter = HookLauncher(given.append, marks)
    starter.on_run_finished(["a"])
    starter.on_run_finished(["b"])
    assert given == [["a"], ["b"]]


@in_a_loop
async def test_next_process_gets_what_a_dead_one_did_not_start(
    marks: PendingHooks,
) -> None:
    given: List[Sequence[str]] = []
    through = asyncio.Event()

    def start(run_ids: Sequence[str]) -> subprocess.Popen[bytes]:
        given.append(run_ids)
        if len(given) == 3:
            starter.on_run_finished(["f"])
        if run_ids == ["f"]:
            through.set()
        if run_ids[0] in "ab":
            marks.claim(run_ids[0])
        return subprocess.Popen(
            [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        )

    for run in "abcde":
        marks.add(run)
    starter = HookLauncher(start, marks)
    starter.on_run_finished(["a", "b", "c", "d"])
    starter.on_run_finished(["e"])
    await through.wait()
    # Of what dies before it begins with any, nobody makes another and another.
    assert given == [list("abcd"), list("bcde"), list("cde"), ["f"]]


@in_a_loop
async def test_process_that_cannot_be_watched_does_not_block_the_next(
    marks: PendingHooks,
) -> None:
    given: List[Sequence[str]] = []
    started: List[subprocess.Popen[bytes]] = []

    def start(run_ids: Sequence[str]) -> subprocess.Popen[bytes]:
        given.append(run_ids)
        started.append(subprocess.Popen([sys.executable, "-c", ""]))
        return started[-1]

    starter = HookLauncher(start, marks)
    with no_thread_free():
        starter.on_run_finished(["a"])
        starter.on_run_finished(["b"])
    assert given == [["a"], ["b"]]
    for process in started:
        process.wait()
