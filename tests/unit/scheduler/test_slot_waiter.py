"""Two schedulers share slots: a waiting one is woken when slots become free."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Callable, Iterator

import pytest

from provctl.core.engine import requests as rq
from provctl.core.engine.run_queue import SLOTS
from tests.support.attempts import PATIENCE_S
from tests.support.fake_executor import voided
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import Household, in_a_loop
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import StateDir

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="locks of open files are Linux's"
)

WANTS = a_workflow(task("a", pools={"db": 1}))
ONE = {"db": 1}


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until a condition holds."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


async def first_and_second(folder: StateDir) -> Iterator[Household]:
    """Two owners; the task of the second waits for that of the first."""
    for run in ("r", "s"):
        submit(folder, WANTS, run)
    first, second = (Household(folder, capacity=ONE) for _ in range(2))
    await first.scheduler.acquire_run("r")
    assert first.executor.said() == ["launch a"]
    await second.scheduler.acquire_run("s")
    second.executor.assert_nothing_else_said()
    assert second.scheduler.state.running == 0
    return iter((first, second))


@in_a_loop
async def test_finished_task_of_another_owner_wakes_the_waiter(
    folder: StateDir,
) -> None:
    first, second = await first_and_second(folder)
    first.executor.end("a")
    await until(lambda: second.executor.said() == ["launch a"])
    first.scheduler.close()
    second.scheduler.close()


@in_a_loop
async def test_discarded_attempt_releases_its_slots(
    folder: StateDir,
) -> None:
    first, second = await first_and_second(folder)
    await first.scheduler.request(rq.Cancel("r"))
    first.executor.report(voided(first.executor.orders["a"].place))
    await until(lambda: second.executor.said() == ["launch a"])
    first.scheduler.close()
    second.scheduler.close()


@in_a_loop
async def test_closed_owner_releases_its_slots(folder: StateDir) -> None:
    first, second = await first_and_second(folder)
    first.scheduler.close()
    await until(lambda: second.executor.said() == ["launch a"])
    second.scheduler.close()


@in_a_loop
async def test_waiting_task_can_be_cancelled(folder: StateDir) -> None:
    first, second = await first_and_second(folder)
    await second.scheduler.request(rq.Cancel("s"))
    assert second.kinds("s")[-1] == "RunFinished"
    # And is in nobody's way.
    first.executor.end("a")
    submit(folder, WANTS, "t")
    third = Household(folder, capacity=ONE)
    await third.scheduler.acquire_run("t")
    assert third.executor.said() == ["launch a"]
    for house in (first, second, third):
        house.scheduler.close()


@in_a_loop
async def test_launch_spec_names_the_slots_that_the_shim_holds(
    folder: StateDir,
) -> None:
    submit(folder, WANTS)
    house = Household(folder, capacity=ONE)
    await house.scheduler.acquire_run("r")
    files = [taken[0] for taken in house.executor.orders["a"].taken]
    assert files == [str(folder.slots / SLOTS), str(folder.slots / "pool.db")]
    house.scheduler.close()
