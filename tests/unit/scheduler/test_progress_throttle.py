"""Progress reports of tasks: few events, but always the last one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, List, Optional

import pytest

from provctl.core.engine.events import ProgressReported
from provctl.core.engine.requests import ReportProgress
from provctl.core.engine.view import Progress, view
from provctl.errors import NotFound, RequestRejected, UsageError
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import HandClock, Household, in_a_loop
from tests.support.workflows import a_workflow, group, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import StateDir


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


async def a_house(folder: StateDir, clock: Optional[HandClock] = None) -> Household:
    submit(folder, a_workflow(task("a"), task("b"), group("g", ["a"]), task("g/x")))
    house = Household(folder, clock=clock)
    await house.scheduler.acquire_run("r")
    return house


def written(house: Household, task_id: str = "a") -> List[Optional[float]]:
    return [
        event.percent
        for event in house.journal()
        if isinstance(event, ProgressReported) and event.task == task_id
    ]


def shown(house: Household, task_id: str = "a") -> Progress:
    rows = view(house.scheduler.state.runs["r"]).tasks
    return next(row.progress for row in rows if row.id == task_id)


@in_a_loop
async def test_progress_report_is_journaled_and_shown(folder: StateDir) -> None:
    house = await a_house(folder)
    await house.scheduler.request(ReportProgress("r", "a", 40, "pulling"))
    assert written(house) == [40]
    assert shown(house) == Progress(40, "pulling")
    assert shown(house, "b") == Progress()


@in_a_loop
async def test_at_most_four_reports_a_second_and_the_last_one_are_written(
    folder: StateDir,
) -> None:
    clock = HandClock()
    house = await a_house(folder, clock)
    for number in range(1000):
        clock.time += 0.001
        await house.scheduler.request(ReportProgress("r", "a", number / 10))
        await house.scheduler.request(ReportProgress("r", "b", 100 - number / 10))
    # One task never holds back another.
    assert len(written(house)) == len(written(house, "b")) == 4
    house.executor.end("a")
    assert written(house)[-1] == 99.9
    kinds = house.kinds()
    end = kinds.index("AttemptFinished")
    assert kinds[end - 1] == "ProgressReported"


@in_a_loop
async def test_waiting_report_is_written_after_the_interval(folder: StateDir) -> None:
    clock = HandClock()
    house = await a_house(folder, clock)
    for percent in (1, 2, 3):
        await house.scheduler.request(ReportProgress("r", "a", percent))
    assert written(house) == [1]
    clock.time += 0.25
    for _ in range(500):
        await asyncio.sleep(0.01)
        if len(written(house)) == 2:
            break
    assert written(house) == [1, 3]


@in_a_loop
async def test_waiting_report_is_written_before_the_owner_closes(
    folder: StateDir,
) -> None:
    house = await a_house(folder)
    await house.scheduler.request(ReportProgress("r", "a", 1))
    await house.scheduler.request(ReportProgress("r", "a", 2, "halfway"))
    house.scheduler.close()
    assert written(house) == [1, 2]


@in_a_loop
async def test_next_attempt_starts_without_progress(folder: StateDir) -> None:
    from provctl.core.model.workflow import RetryPolicy

    submit(folder, a_workflow(task("a", retry=RetryPolicy(2))))
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    await house.scheduler.request(ReportProgress("r", "a", 90, "nearly"))
    house.executor.end("a", exit_code=1)
    assert house.executor.said()[-1] == "launch a.2"
    assert shown(house) == Progress()
    await house.scheduler.request(ReportProgress("r", "a", 10))
    assert written(house) == [90, 10]  # a try of its own does not wait


@in_a_loop
async def test_invalid_report_is_refused(folder: StateDir) -> None:
    house = await a_house(folder)
    house.executor.end("b")
    before = house.journal()
    for wish, kind in (
        (ReportProgress("r", "z"), NotFound),
        (ReportProgress("r", "b", 1), RequestRejected),
        (ReportProgress("r", "g", 1), RequestRejected),
        (ReportProgress("r", "a", 101), UsageError),
        (ReportProgress("r", "a", float("nan")), UsageError),
        (ReportProgress("x", "a", 1), NotFound),
    ):
        with pytest.raises(kind):
            await house.scheduler.request(wish)
    assert house.journal() == before


@in_a_loop
async def test_report_does_not_acquire_an_orphaned_run(folder: StateDir) -> None:
    house = await a_house(folder)
    house.scheduler.close()
    other = Household(folder)
    with pytest.raises(NotFound):
        await other.scheduler.request(ReportProgress("r", "a", 1))
    assert not other.scheduler.state.runs
