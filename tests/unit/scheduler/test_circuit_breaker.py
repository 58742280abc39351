"""During a shortage of the machine no attempt starts, except for single trials."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, List

import pytest

from provctl.base.resource_exhaustion import is_full
from provctl.core.engine.requests import Cancel, ExitedReport, NeverStartedReport
from provctl.core.model.attempt_result import AttemptResult
from provctl.errors import NotFound
from provctl.scheduler.circuit_breaker import CircuitBreaker
from provctl.scheduler.secrets import find_secret
from tests.support.fake_executor import ended, voided
from tests.support.resource_limits import no_descriptor_free
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import HandClock, Household, in_a_loop
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.executors.protocol import AttemptRef
    from provctl.storage.layout import StateDir

SHORT = NeverStartedReport("r", "a", 1, "no room: make some", shortage=True)


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


def short(place: AttemptRef) -> NeverStartedReport:
    return NeverStartedReport(
        place.run, place.task, place.attempt, "no room: make some", True
    )


# -- when ---------------------------------------------------------------------------


def test_delay_grows_with_each_failed_trial_and_is_reported_once(
    tmp_path: Path,
) -> None:
    said: List[str] = []
    breaker = CircuitBreaker(str(tmp_path), said.append)
    assert not breaker.is_open(0)
    breaker.on_start(0)  # of no account while there is no shortage
    assert breaker.until is None
    breaker.on_report(SHORT, 10)
    breaker.on_report(SHORT, 10)  # of the same moment: no trial
    waits: List[float] = []
    for _ in range(8):
        begun = breaker.until
        assert begun is not None
        waits.append(begun - 10)
        assert breaker.is_open(begun - 0.1)
        assert not breaker.is_open(begun)
        breaker.on_start(begun)
        assert breaker.is_open(begun), "one trial at a time"
        breaker.on_report(SHORT, 10)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert said == ["no attempts are started: no room: make some"]


def test_successful_trial_closes_the_circuit_breaker(tmp_path: Path) -> None:
    breaker = CircuitBreaker(str(tmp_path), lambda _words: None)
    breaker.on_report(SHORT, 0)
    assert not breaker.is_open(1)
    breaker.on_start(1)
    assert breaker.until == 6
    assert not breaker.is_open(6)
    assert breaker.until is None
    breaker.on_report(SHORT, 10)
    assert not breaker.is_open(11)
    breaker.on_start(11)
    never_ran = ExitedReport(
        "r",
        "a",
        2,
        "exit",
        result=AttemptResult(started_at=0.0, finished_at=0.0, ran=False),
    )
    breaker.on_report(never_ran, 11)
    assert breaker.is_open(11), "it says nothing of the machine"
    breaker.on_report(
        ExitedReport(
            "r",
            "a",
            2,
            "exit",
            result=AttemptResult(0, started_at=0.0, finished_at=0.0),
        ),
        11,
    )
    assert not breaker.is_open(11)


def test_disk_with_free_space_is_not_full(tmp_path: Path) -> None:
    assert not is_full(str(tmp_path))
    assert not is_full(str(tmp_path / "none"))


# -- in the loop --------------------------------------------------------------------


@in_a_loop
async def test_attempt_without_room_is_discarded_and_starts_later(
    folder: StateDir,
) -> None:
    submit(folder, a_workflow(task("a"), task("b")))
    clock = HandClock()
    house = Household(folder, clock=clock, slots=1)
    await house.scheduler.acquire_run("r")
    assert house.executor.said() == ["launch a"]
    house.executor.report(short(house.executor.orders["a"].place))
    assert house.executor.said() == []
    clock.time += 1
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["launch a.2"]
    house.executor.end("a.2")
    assert house.executor.said() == ["launch b"]
    house.executor.end("b")
    assert house.kinds()[-1] == "RunFinished"
    assert "TaskFailed" not in house.kinds()


@in_a_loop
async def test_control_attempt_discarded_for_another_reason_starts_at_once(
    folder: StateDir,
) -> None:
    submit(folder, a_workflow(task("a")))
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.report(voided(house.executor.orders["a"].place))
    assert house.executor.said() == ["launch a", "launch a.2"]


@in_a_loop
async def test_task_waiting_for_room_can_be_cancelled(folder: StateDir) -> None:
    submit(folder, a_workflow(task("a")))
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.report(short(house.executor.orders["a"].place))
    await house.scheduler.request(Cancel("r"))
    assert house.scheduler.state.runs == {}
    assert house.executor.said() == ["launch a"]


@in_a_loop
async def test_task_waits_for_a_descriptor_to_read_its_secret(
    folder: StateDir, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with no_descriptor_free(), pytest.raises(NotFound):
        find_secret("S", f"file:{secret}", {})
    clock = HandClock()
    house = Household(folder, clock=clock)
    submit(
        folder, a_workflow(task("a"), task("b", ["a"], secrets={"S": f"file:{secret}"}))
    )
    await house.scheduler.acquire_run("r")
    with no_descriptor_free():
        house.executor.report(ended(house.executor.orders["a"].place))
        await asyncio.sleep(0)
    b = house.scheduler.state.runs["r"].tasks["b"]
    assert (b.status, b.counted_attempts) == ("ready", 0)
    assert str(secret) in b.shortage
    clock.time += 1
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["launch a", "launch b.2"]
