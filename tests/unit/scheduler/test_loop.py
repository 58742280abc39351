"""The loop journals and syncs events before it acts on them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, List

import pytest

from provctl.base.flock import is_locked
from provctl.core.engine import events as ev
from provctl.core.engine.requests import Cancel, ResolveTask
from provctl.core.model.workflow import NushellCall, RetryPolicy
from provctl.errors import NotFound, RequestRejected, StateDirError
from provctl.executors.protocol import MARK
from provctl.scheduler.clock import Clock
from provctl.scheduler.order_builder import TaskDefaults
from provctl.storage.journal.file import JournalReader
from provctl.storage.lock import lock_owner
from provctl.storage.run_summary import summarise
from tests.support.fake_executor import ended, voided
from tests.support.resource_limits import no_thread_free
from tests.support.run_folders import disk_full_beyond, state_folder, submit
from tests.support.scheduler_harness import HandClock, Household, in_a_loop
from tests.support.workflows import a_workflow, output, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.executors.protocol import LaunchSpec
    from provctl.storage.layout import StateDir

ONE = a_workflow(task("a"))
TWO = a_workflow(task("a"), task("b", ["a"]))


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


@in_a_loop
async def test_run_goes_from_start_to_end(folder: StateDir) -> None:
    run = submit(folder, TWO)
    folder.enqueue("r")
    house = Household(folder)
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["launch a"]
    house.executor.end("a")
    assert house.executor.said() == ["launch b"]
    house.executor.end("b", exit_code=3)
    house.executor.assert_nothing_else_said()
    assert house.kinds() == [
        *("OwnershipTaken", "AttemptStarted", "AttemptFinished"),
        *("AttemptStarted", "AttemptFinished", "RunFinished"),
    ]
    assert summarise(run).outcome == "failed"
    assert [event for facts in house.told for event in facts.events] == (
        house.journal()[1:]
    )
    assert house.complaints == []
    assert folder.queued() == []
    assert not is_locked(run.lock)
    assert house.scheduler.state.runs == {}


@in_a_loop
async def test_start_is_on_disk_before_the_executor_is_called(
    folder: StateDir,
) -> None:
    run = submit(folder, TWO)
    on_disk: List[bool] = []

    def look(order: LaunchSpec) -> None:
        place = order.place
        started = [
            (event.task, event.attempt)
            for event in JournalReader(run.journal, "r").read()
            if isinstance(event, ev.AttemptStarted)
        ]
        on_disk.append((place.task, place.attempt) in started)

    house = Household(folder, at_launch=look)
    await house.scheduler.acquire_run("r")
    house.executor.end("a")
    house.executor.end("b")
    assert on_disk == [True, True]


@in_a_loop
async def test_launch_spec_has_the_program_and_the_ids(folder: StateDir) -> None:
    workflow = a_workflow(
        task("a"),
        task("b", ["a"], env={"IP": output("a", "ip"), "N": 1}, timeout_s=5.0),
        environment={"PATH": "/bin", "N": "0"},
        cwd="/work",
    )
    run = submit(folder, workflow)
    defaults = TaskDefaults(timeout_s=60.0, grace_s=2.0, env_vars={"SITE": "x"})
    house = Household(folder, defaults=defaults)
    await house.scheduler.acquire_run("r")
    house.executor.end("a", output={"ip": "10.0.0.1"})
    a, b = house.executor.orders["a"], house.executor.orders["b"]
    assert (a.argv, a.cwd, a.timeout_s, a.grace_s) == (("true",), "/work", 60.0, 2.0)
    assert b.timeout_s == 5.0
    assert b.env == {
        "PATH": "/bin",
        "SITE": "x",
        "IP": "10.0.0.1",
        "N": "1",
        MARK: "r/1.1",
        "PROVCTL_RUN": "r",
        "PROVCTL_TASK": "b",
        "PROVCTL_TASK_ID": "r/b",
        "PROVCTL_ATTEMPT": "1",
        "PROVCTL_CHECKPOINT_FILE": str(run.attempts / "1.checkpoint"),
        "PROVCTL_IDEMPOTENCY_KEY": "r/b",
    }
    assert b.place.folder == run.attempts
    assert (b.place.index, b.place.attempt) == (1, 1)


@in_a_loop
async def test_simultaneous_reports_are_written_in_one_commit(folder: StateDir) -> None:
    submit(folder, a_workflow(task("a"), task("b"), task("c", ["a", "b"])))
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    orders = house.executor.orders
    house.told.clear()
    house.executor.report(ended(orders["a"].place), ended(orders["b"].place))
    (facts,) = house.told
    kinds = [type(event).__name__ for event in facts.events]
    assert kinds == ["AttemptFinished", "AttemptFinished", "AttemptStarted"]


@in_a_loop
async def test_cancel_is_on_disk_when_it_returns(folder: StateDir) -> None:
    submit(folder, TWO)
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.said()
    await house.scheduler.request(Cancel("r", "enough", now=True))
    assert house.executor.said() == ["stop a now"]
    assert house.kinds()[-2:] == ["CancelRequested", "AttemptStopping"]
    house.executor.end("a", cause="stop")
    assert house.journal()[-1] == ev.RunFinished("r", 1000.0, "cancelled")


@in_a_loop
async def test_request_about_an_unknown_run_or_task_is_refused(
    folder: StateDir,
) -> None:
    submit(folder, ONE)
    house = Household(folder)
    with pytest.raises(NotFound, match="run y does not exist"):
        await house.scheduler.request(Cancel("y"))
    with pytest.raises(NotFound, match="run x does not exist"):
        await house.scheduler.acquire_run("x")
    await house.scheduler.acquire_run("r")
    with pytest.raises(RequestRejected, match="a is running, not held"):
        await house.scheduler.request(ResolveTask("r", "a", "rerun"))


@in_a_loop
async def test_timer_fires_at_the_next_deadline(folder: StateDir) -> None:
    submit(folder, a_workflow(task("a", retry=RetryPolicy(2, delay_s=0.02))))
    again = asyncio.Event()
    house = Household(
        folder,
        clock=Clock(),
        at_launch=lambda order: again.set() if order.place.attempt == 2 else None,
    )
    await house.scheduler.acquire_run("r")
    house.executor.end("a", exit_code=1)
    assert house.executor.said() == ["launch a"]
    await again.wait()
    assert house.kinds()[-2:] == ["RetryDue", "AttemptStarted"]
    house.scheduler.close()


@in_a_loop
async def test_closed_owner_does_nothing_more(folder: StateDir) -> None:
    run = submit(folder, a_workflow(task("a"), timeout_s=0.001))
    clock = HandClock()
    house = Household(folder, clock=clock)
    await house.scheduler.acquire_run("r")
    house.scheduler.close()
    assert house.executor.said() == ["launch a", "close"]
    assert not is_locked(run.lock)
    before = house.journal()
    clock.time += 60
    house.executor.end("a")
    assert house.journal() == before
    assert folder.run_ids() == ["r"]


@in_a_loop
async def test_task_that_cannot_start_fails(folder: StateDir) -> None:
    call = NushellCall("servers/create.nu", "create")
    submit(folder, a_workflow(task("a", action=call), task("b", [("a", "failure")])))
    house = Household(folder, defaults=TaskDefaults(nu="/nowhere/nu"))
    await house.scheduler.acquire_run("r")
    assert house.executor.said() == ["launch b"]
    assert house.kinds() == ["OwnershipTaken", "TaskFailed", "AttemptStarted"]
    failed = house.journal()[-2]
    assert isinstance(failed, ev.TaskFailed)
    assert "/nowhere/nu" in failed.reason
    a = house.scheduler.state.runs["r"].tasks["a"]
    assert (a.outcome, a.attempt, a.started_at) == ("failed", 0, None)


@in_a_loop
async def test_discarded_attempt_is_made_again(folder: StateDir) -> None:
    submit(folder, ONE)
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.report(voided(house.executor.orders["a"].place))
    assert house.executor.said() == ["launch a", "launch a.2"]


# -- a disk that fails ---------------------------------------------------------------


@in_a_loop
async def test_event_that_cannot_be_written_has_no_effect(folder: StateDir) -> None:
    run = submit(folder, TWO)
    folder.enqueue("r")
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.said()
    house.told.clear()
    before = run.journal.read_bytes()
    with disk_full_beyond(len(before) + 20):
        house.executor.end("a")
    house.executor.assert_nothing_else_said()
    assert run.journal.read_bytes() == before
    assert house.told == []
    ((about, problem),) = house.complaints
    assert (about, type(problem)) == ("r", StateDirError)
    # Nothing is lost: the marker is there, and the next owner may have it.
    assert folder.queued() == ["r"]
    assert not is_locked(run.lock)
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a"]


@in_a_loop
async def test_cancel_that_cannot_be_written_is_not_acknowledged(
    folder: StateDir,
) -> None:
    run = submit(folder, ONE)
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.said()
    size = run.journal.stat().st_size
    with disk_full_beyond(size), pytest.raises(StateDirError):
        await house.scheduler.request(Cancel("r"))
    house.executor.assert_nothing_else_said()


@in_a_loop
async def test_run_that_cannot_be_written_releases_its_slots(
    folder: StateDir,
) -> None:
    large = a_workflow(task("a", env={"X": "x" * 5000}), task("b", ["a"]))
    submit(folder, large, run="large")
    submit(folder, ONE, run="small")
    house = Household(folder, slots=1)
    await house.scheduler.acquire_run("large")
    await house.scheduler.acquire_run("small")
    assert house.executor.said() == ["launch a"]
    place = house.executor.orders.pop("a").place
    with disk_full_beyond(4000):
        house.executor.report(ended(place, output="x" * 5000))
    assert [run for run, _ in house.complaints] == ["large"]
    assert house.executor.said() == ["launch a"]
    assert house.executor.orders["a"].place.run == "small"


@in_a_loop
async def test_failing_disk_of_one_run_does_not_stop_others(
    folder: StateDir,
) -> None:
    for run in ("bad", "good"):
        submit(
            folder, a_workflow(task(f"{run}-a"), task(f"{run}-b", [f"{run}-a"])), run
        )
    house = Household(folder)
    await house.scheduler.acquire_run("bad")
    await house.scheduler.acquire_run("good")
    house.executor.said()
    orders = house.executor.orders
    with disk_full_beyond(4000):
        house.executor.report(
            ended(orders["bad-a"].place, output="x" * 5000),
            ended(orders["good-a"].place),
        )
    assert house.executor.said() == ["launch good-b"]
    assert list(house.scheduler.state.runs) == ["good"]


@in_a_loop
async def test_owner_that_cannot_write_its_event_does_not_take_the_run(
    folder: StateDir,
) -> None:
    run = submit(folder, ONE)
    folder.enqueue("r")
    house = Household(folder)
    with disk_full_beyond(10):
        await house.scheduler.acquire_queued()
    assert [type(problem) for _, problem in house.complaints] == [StateDirError]
    assert not is_locked(run.lock)
    assert house.scheduler.state.runs == {}
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["launch a"]
    holder = lock_owner(run.lock)
    assert holder is not None
    assert holder.pid == os.getpid()


@in_a_loop
async def test_many_journals_are_written_without_a_thread(
    folder: StateDir,
) -> None:
    runs = [submit(folder, a_workflow(task(f"t{n}")), run=f"r{n}") for n in range(20)]
    for run in runs:
        folder.enqueue(run.id)
    house = Household(folder, slots=20)
    with no_thread_free():
        await house.scheduler.acquire_queued()
    assert len(house.executor.orders) == 20
    for run in runs:
        events = JournalReader(run.journal, run.id).read()
        assert isinstance(events[-1], ev.AttemptStarted)
