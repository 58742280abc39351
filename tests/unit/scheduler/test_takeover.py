"""Takeover: the next owner continues where the previous one stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Optional

import pytest

from provctl.base.flock import is_locked
from provctl.core.engine import events as ev
from provctl.core.engine.requests import Cancel, ResolveTask, UnknownReport
from provctl.core.model.attempt_result import AttemptResult
from provctl.errors import JournalDamaged, JournalTooNew, RequestRejected, StateDirError
from provctl.executors.protocol import AttemptRef
from provctl.storage.journal.codec import seal
from tests.support.engine_driver import picture
from tests.support.fake_executor import adopted, ended, voided
from tests.support.resource_limits import no_descriptor_free
from tests.support.run_folders import append, state_folder, submit
from tests.support.scheduler_harness import Household, in_a_loop
from tests.support.workflows import a_workflow, group, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.requests import Report
    from provctl.storage.layout import StateDir

ONE = a_workflow(task("a"))
TWO = a_workflow(task("a"), task("b", ["a"]))


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


def interrupted(place: AttemptRef) -> Report:
    return UnknownReport(
        place.run, place.task, place.attempt, "interrupted", "rebooted"
    )


def crashed(folder: StateDir, *more: ev.Event, boot: str = "boot-1") -> None:
    """A run whose owner died right after it decided to start a."""
    run = submit(folder, TWO)
    folder.enqueue("r")
    took = ev.OwnershipTaken("r", 1001.0, "scheduler", 1, boot)
    append(run, [took, ev.AttemptStarted("r", 1001.0, "a", 1), *more])


FOUND: List[Any] = [
    (adopted, [], "AttemptAdopted"),
    (ended, ["launch b"], "AttemptFinished"),
    (voided, ["launch a.2"], "AttemptDiscarded"),
    (None, [], "TaskHeld"),
    (interrupted, [], "TaskHeld"),
]


@pytest.mark.parametrize(("found", "then", "fact"), FOUND)
@in_a_loop
async def test_result_of_a_recovered_attempt_is_journaled(
    folder: StateDir, found: Callable[[AttemptRef], Report], then: List[str], fact: str
) -> None:
    crashed(folder)
    house = Household(folder)
    if found is not None:
        house.executor.found["a"] = found
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a", *then]
    assert house.kinds()[2:4] == ["OwnershipTaken", fact]


@in_a_loop
async def test_ownership_is_journaled_before_attempts_are_recovered(
    folder: StateDir,
) -> None:
    crashed(folder)
    house = Household(folder)
    before: List[List[str]] = []

    def look(place: AttemptRef) -> Report:
        before.append(house.kinds())
        return adopted(place)

    house.executor.found["a"] = look
    await house.scheduler.acquire_queued()
    assert before == [["OwnershipTaken", "AttemptStarted", "OwnershipTaken"]]


@in_a_loop
async def test_runs_of_the_same_workflow_share_it_in_memory(folder: StateDir) -> None:
    for run, workflow in {"r": TWO, "s": TWO, "t": ONE}.items():
        submit(folder, workflow, run=run)
        folder.enqueue(run)
    house = Household(folder, slots=1)
    await house.scheduler.acquire_queued()
    runs = house.scheduler.state.runs
    assert runs["r"].workflow is runs["s"].workflow
    assert runs["r"].workflow == TWO
    assert runs["t"].workflow == ONE


@in_a_loop
async def test_shared_workflow_is_still_checked_for_each_run(folder: StateDir) -> None:
    for run in ("r", "s"):
        submit(folder, TWO, run=run)
        folder.enqueue(run)
    damage(folder, "changed", name="s")
    house = Household(folder)
    await house.scheduler.acquire_queued()
    assert list(house.scheduler.state.runs) == ["r"]
    assert [about for about, _ in house.complaints] == ["s"]


@in_a_loop
async def test_adopted_attempt_finishes_like_any_other(folder: StateDir) -> None:
    crashed(folder)
    house = Household(folder)
    house.executor.found["a"] = adopted
    await house.scheduler.acquire_queued()
    house.executor.said()
    house.executor.report(ended(AttemptRef("r", "a", 1, folder.run("r").attempts, 0)))
    assert house.executor.said() == ["launch b"]


@in_a_loop
async def test_reboot_is_distinguished_from_a_crash(folder: StateDir) -> None:
    crashed(folder)
    house = Household(folder, boot="boot-2")
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a rebooted"]
    house.scheduler.close()
    again = Household(folder, boot="boot-2")
    again.executor.found["a"] = adopted
    await again.scheduler.acquire_queued()
    # It is held by now: there is nothing to be found any more.
    again.executor.assert_nothing_else_said()


@in_a_loop
async def test_stop_that_may_not_have_been_sent_is_sent_again(
    folder: StateDir,
) -> None:
    crashed(
        folder,
        ev.CancelRequested("r", 1002.0, now=True),
        ev.AttemptStopping("r", 1002.0, "a", 1, "request", now=True),
    )
    house = Household(folder)
    house.executor.found["a"] = adopted
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a", "stop a now"]


@in_a_loop
async def test_stop_that_was_not_yet_decided_is_sent(folder: StateDir) -> None:
    crashed(folder, ev.CancelRequested("r", 1002.0))
    house = Household(folder)
    house.executor.found["a"] = adopted
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a", "stop a"]


@in_a_loop
async def test_attempt_that_never_started_in_a_cancelled_run_does_not_start(
    folder: StateDir,
) -> None:
    crashed(folder, ev.CancelRequested("r", 1002.0))
    house = Household(folder)
    house.executor.found["a"] = voided
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a"]
    assert house.journal()[-1] == ev.RunFinished("r", 1000.0, "cancelled")


@pytest.mark.parametrize(
    ("found", "fact"), [(voided, "AttemptDiscarded"), (None, "AttemptFinished")]
)
@in_a_loop
async def test_no_task_starts_again_in_a_timed_out_group(
    folder: StateDir, found: Optional[Callable[[AttemptRef], Report]], fact: str
) -> None:
    # The owner died before it could write down that the task is told to end.
    inner = task("g/x", on_interrupt="rerun", idempotent=True)
    run = submit(folder, a_workflow(group("g", timeout_s=60.0), inner))
    append(
        run,
        [
            ev.GroupStarted("r", 1001.0, "g"),
            ev.AttemptStarted("r", 1001.0, "g/x", 1),
            ev.GroupTimedOut("r", 1061.0, "g"),
        ],
    )
    house = Household(folder)
    if found is not None:
        house.executor.found["g/x"] = found
    await house.scheduler.acquire_run("r")
    assert house.executor.said() == ["recover g/x"]
    assert house.kinds()[3:] == ["OwnershipTaken", fact, "GroupFinished", "RunFinished"]


@in_a_loop
async def test_work_left_undone_by_a_crash_is_done(folder: StateDir) -> None:
    # The end of a was written down, but not the start of b that follows.
    crashed(
        folder,
        ev.AttemptFinished("r", 1002.0, "a", 1, "succeeded", result=AttemptResult(0)),
    )
    house = Household(folder)
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["launch b"]


@in_a_loop
async def test_next_owner_has_the_same_state_as_the_previous_one(
    folder: StateDir,
) -> None:
    submit(folder, a_workflow(task("a"), task("b"), task("c", ["a"]), timeout_s=60))
    first = Household(folder)
    await first.scheduler.acquire_run("r")
    first.executor.end("a")
    second = Household(folder)
    for task_id in ("b", "c"):
        second.executor.found[task_id] = adopted
    before = picture(first.scheduler.state)
    first.scheduler.close()
    await second.scheduler.acquire_run("r")
    assert picture(second.scheduler.state) == before


@in_a_loop
async def test_held_task_can_be_resolved_by_the_next_owner(folder: StateDir) -> None:
    crashed(folder, ev.TaskHeld("r", 1002.0, "a", 1, "lost", "gone"))
    house = Household(folder)
    await house.scheduler.acquire_queued()
    house.executor.assert_nothing_else_said()
    await house.scheduler.request(ResolveTask("r", "a", "rerun"))
    assert house.executor.said() == ["launch a.2"]


@in_a_loop
async def test_second_owner_is_refused(folder: StateDir) -> None:
    run = submit(folder, ONE)
    folder.enqueue("r")
    first, second = Household(folder), Household(folder)
    await first.scheduler.acquire_run("r")
    before = run.journal.read_bytes()
    with pytest.raises(
        RequestRejected, match="r already has an owner: the scheduler, process"
    ):
        await second.scheduler.acquire_run("r")
    await second.scheduler.acquire_queued()
    assert [type(problem) for _, problem in second.complaints] == [RequestRejected]
    assert run.journal.read_bytes() == before
    assert second.scheduler.state.runs == {}
    await first.scheduler.acquire_queued()
    assert first.complaints == []
    first.scheduler.close()
    await second.scheduler.acquire_run("r")
    assert second.executor.said() == ["recover a"]


@in_a_loop
async def test_finished_run_is_not_acquired_and_loses_its_queue_marker(
    folder: StateDir,
) -> None:
    run = submit(folder, a_workflow())
    folder.enqueue("r")
    append(run, [ev.RunFinished("r", 1001.0, "succeeded")])
    before = run.journal.read_bytes()
    house = Household(folder)
    with pytest.raises(RequestRejected, match="run r has already finished"):
        await house.scheduler.acquire_run("r")
    assert folder.queued() == []
    assert run.journal.read_bytes() == before
    assert not is_locked(run.lock)


def damage(folder: StateDir, how: str, name: str = "r") -> None:
    run = folder.run(name)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    if how == "flipped":
        lines[1] = lines[1].replace(b"scheduler", b"schedules")
    elif how == "newer":
        lines[1] = seal('{"v":2,"seq":2,"dur":1,"prev":""}')[0]
    elif how == "impossible":
        append(run, [ev.AttemptStarted("r", 1002.0, "b", 1)])
        return
    elif how == "changed":
        run.workflow.write_bytes(run.workflow.read_bytes().replace(b"true", b"evil"))
        return
    else:
        run.journal.unlink()
        return
    run.journal.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("flipped", JournalDamaged),
        ("newer", JournalTooNew),
        ("impossible", JournalDamaged),
        ("changed", JournalDamaged),
        ("gone", JournalDamaged),
    ],
)
@in_a_loop
async def test_damage_affects_one_run(folder: StateDir, how: str, kind: type) -> None:
    crashed(folder)
    run = folder.run("r")
    # Separate commits, so that damage can be proven.
    append(run, [ev.AttemptAdopted("r", 1002.0, "a", 1)])
    submit(folder, ONE, run="s")
    folder.enqueue("s")
    damage(folder, how)
    before = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    house = Household(folder)
    await house.scheduler.acquire_queued()
    assert [(about, type(problem)) for about, problem in house.complaints] == [
        ("r", kind)
    ]
    assert house.executor.said() == ["launch a"]
    assert list(house.scheduler.state.runs) == ["s"]
    assert not is_locked(run.lock)
    after = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    after["owner.lock"] = before["owner.lock"]  # who looked is written there
    assert after == before


@in_a_loop
async def test_torn_record_is_not_damage(folder: StateDir) -> None:
    crashed(folder)
    with folder.run("r").journal.open("ab") as file:
        file.write(b'{"v":1,"seq":4,"dur":3,"type":"attempt_fin')
    house = Household(folder)
    house.executor.found["a"] = ended
    await house.scheduler.acquire_queued()
    assert house.executor.said() == ["recover a", "launch b"]


@in_a_loop
async def test_run_that_cannot_be_recovered_is_released(
    folder: StateDir,
) -> None:
    def unable(place: AttemptRef) -> Report:
        raise StateDirError(f"{place.folder}: No space left on device")

    crashed(folder)
    house = Household(folder)
    house.executor.found["a"] = unable
    await house.scheduler.acquire_queued()
    assert [type(problem) for _, problem in house.complaints] == [StateDirError]
    assert not is_locked(folder.run("r").lock)
    assert (house.scheduler.state.runs, house.scheduler.state.running) == ({}, 0)
    house.executor.found["a"] = adopted
    await house.scheduler.acquire_queued()
    await house.scheduler.request(Cancel("r"))
    assert house.executor.said() == ["recover a", "recover a", "stop a"]


@pytest.mark.parametrize("but", [0, 1])
@in_a_loop
async def test_run_that_cannot_be_read_now_is_not_reported_as_damaged(
    folder: StateDir, but: int
) -> None:
    submit(folder, ONE)
    folder.enqueue("r")
    house = Household(folder)
    with no_descriptor_free(but=but):  # for the lock, and none for the journal
        await house.scheduler.acquire_queued()
    ((_, problem),) = house.complaints
    assert isinstance(problem, StateDirError)
    assert "Too many open files" in problem.message
    await house.scheduler.acquire_queued()
    assert list(house.scheduler.state.runs) == ["r"]
