"""A busy lock is waited for in a thread, so the event loop continues."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator

import pytest

from provctl.base.flock import is_locked
from provctl.core.engine.requests import Cancel, Pause
from provctl.errors import NotFound, RequestRejected
from provctl.storage.lock import Lock
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import Household, in_a_loop
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir, StateDir


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


@pytest.fixture(autouse=True)
def awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the event loop never sleeps."""
    main, sleep = threading.get_ident(), time.sleep

    def checked(seconds: float) -> None:
        assert threading.get_ident() != main, "the event loop was blocked"
        sleep(seconds)

    monkeypatch.setattr("provctl.storage.lock.time.sleep", checked)


@contextmanager
def looked_at(run: RunDir) -> Iterator[None]:
    """A process checks the lock, and is slow to release it."""
    run.lock.touch()
    fd = os.open(str(run.lock), os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def queued(folder: StateDir, run_id: str) -> RunDir:
    run = submit(folder, a_workflow(task(f"of-{run_id}")), run_id)
    folder.enqueue(run_id)
    return run


@in_a_loop
async def test_control_blocking_wait_in_the_loop_is_noticed(folder: StateDir) -> None:
    # The control.
    with looked_at(queued(folder, "r")) as _, pytest.raises(AssertionError):
        Lock.acquire(folder.run("r").lock)


@in_a_loop
async def test_busy_run_does_not_delay_others(folder: StateDir) -> None:
    busy, _ = queued(folder, "r"), queued(folder, "s")
    house = Household(folder)
    with looked_at(busy):
        taking = asyncio.ensure_future(house.scheduler.acquire_queued())
        await asyncio.sleep(0)
        assert set(house.scheduler.state.runs) == {"s"}
        assert not taking.done()
    await taking
    assert set(house.scheduler.state.runs) == {"r", "s"}
    assert house.executor.said() == ["launch of-s", "launch of-r"]
    assert house.complaints == []
    house.scheduler.close()
    assert not is_locked(busy.lock)


@in_a_loop
async def test_all_waiters_for_a_run_share_one_owner(folder: StateDir) -> None:
    busy = queued(folder, "r")
    house = Household(folder)
    scheduler = house.scheduler
    with looked_at(busy):
        waits = [
            asyncio.ensure_future(each)
            for each in (
                scheduler.acquire_queued(),
                scheduler.request(Pause("r")),
                scheduler.acquire_run("r"),
                scheduler.acquire_queued(),
            )
        ]
        await asyncio.sleep(0)
        assert not any(wait.done() for wait in waits)
    await asyncio.gather(*waits)
    assert house.complaints == []
    assert house.kinds().count("OwnershipTaken") == 1
    assert "RunPaused" in house.kinds()
    house.scheduler.close()


@in_a_loop
async def test_owned_run_is_distinguished_from_a_checked_run(folder: StateDir) -> None:
    queued(folder, "r")
    first, second = Household(folder), Household(folder)
    await first.scheduler.acquire_run("r")
    with pytest.raises(RequestRejected, match="r already has an owner"):
        await second.scheduler.request(Cancel("r"))
    await second.scheduler.acquire_queued()
    assert [run for run, _ in second.complaints] == ["r"]
    first.scheduler.close()
    second.scheduler.close()


@in_a_loop
async def test_own_run_is_refused_without_waiting(
    folder: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(folder, "r")
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    monkeypatch.setattr(Lock, "acquire", lambda _path: pytest.fail("it waits"))
    with pytest.raises(RequestRejected, match="r already has an owner"):
        await house.scheduler.acquire_run("r")
    await house.scheduler.acquire_queued()
    assert house.complaints == []
    house.scheduler.close()


@in_a_loop
async def test_missing_run_is_not_waited_for(folder: StateDir) -> None:
    folder.enqueue("gone")
    house = Household(folder)
    with pytest.raises(NotFound, match="run gone does not exist"):
        await house.scheduler.acquire_run("gone")
    house.scheduler.close()


@in_a_loop
async def test_lock_acquired_after_the_end_is_released(folder: StateDir) -> None:
    busy = queued(folder, "r")
    house = Household(folder)
    with looked_at(busy):
        taking = asyncio.ensure_future(house.scheduler.acquire_queued())
        await asyncio.sleep(0)
        house.scheduler.close()
        taking.cancel()
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(10)
    await asyncio.sleep(0)
    assert not is_locked(busy.lock)
    assert house.scheduler.state.runs == {}
