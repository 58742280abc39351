"""Taking over: the next owner goes on where the one before was, whatever became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Optional

import pytest

from provctl.core import events as ev
from provctl.core.requests import Cancel, Resolve, Unknown
from provctl.errors import JournalDamaged, JournalTooNew, Refused, StateUnusable
from provctl.executors.base import Place
from provctl.flock import is_locked
from provctl.journal.seal import seal
from tests.support.dialogue import picture
from tests.support.fake_executor import adopted, ended, voided
from tests.support.household import Household, in_a_loop
from tests.support.run_folders import append, state_folder, submit
from tests.support.scarcity import no_descriptor_free
from tests.support.workflows import a_workflow, group, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.requests import Report
    from provctl.journal.folder import StateFolder

ONE = a_workflow(task("a"))
TWO = a_workflow(task("a"), task("b", ["a"]))


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return state_folder(tmp_path)


def interrupted(place: Place) -> Report:
    return Unknown(place.run, place.task, place.attempt, "interrupted", "rebooted")


def crashed(folder: StateFolder, *more: ev.Event, boot: str = "boot-1") -> None:
    """A run whose owner died right after it decided to start a."""
    run = submit(folder, TWO)
    folder.enqueue("r")
    took = ev.OwnerTook("r", 1001.0, "scheduler", 1, boot)
    append(run, [took, ev.AttemptStarted("r", 1001.0, "a", 1), *more])


FOUND: List[Any] = [
    (adopted, [], "AttemptAdopted"),
    (ended, ["launch b"], "AttemptFinished"),
    (voided, ["launch a.2"], "AttemptVoided"),
    (None, [], "TaskHeld"),
    (interrupted, [], "TaskHeld"),
]


@pytest.mark.parametrize(("found", "then", "fact"), FOUND)
@in_a_loop
async def test_what_became_of_a_try_is_found_and_written_down(
    folder: StateFolder, found: Callable[[Place], Report], then: List[str], fact: str
) -> None:
    crashed(folder)
    house = Household(folder)
    if found is not None:
        house.executor.found["a"] = found
    house.scheduler.take_queued()
    assert house.executor.said() == ["recover a", *then]
    assert house.kinds()[2:4] == ["OwnerTook", fact]


@in_a_loop
async def test_a_try_is_looked_at_when_it_is_on_disk_who_does(
    folder: StateFolder,
) -> None:
    crashed(folder)
    house = Household(folder)
    before: List[List[str]] = []

    def look(place: Place) -> Report:
        before.append(house.kinds())
        return adopted(place)

    house.executor.found["a"] = look
    house.scheduler.take_queued()
    assert before == [["OwnerTook", "AttemptStarted", "OwnerTook"]]


@in_a_loop
async def test_runs_of_the_same_workflow_share_it(folder: StateFolder) -> None:
    for run, workflow in {"r": TWO, "s": TWO, "t": ONE}.items():
        submit(folder, workflow, run=run)
        folder.enqueue(run)
    house = Household(folder, slots=1)
    house.scheduler.take_queued()
    runs = house.scheduler.state.runs
    assert runs["r"].workflow is runs["s"].workflow
    assert runs["r"].workflow == TWO
    assert runs["t"].workflow == ONE


@in_a_loop
async def test_what_is_shared_is_what_each_has_on_disk(folder: StateFolder) -> None:
    for run in ("r", "s"):
        submit(folder, TWO, run=run)
        folder.enqueue(run)
    damage(folder, "changed", name="s")
    house = Household(folder)
    house.scheduler.take_queued()
    assert list(house.scheduler.state.runs) == ["r"]
    assert [about for about, _ in house.complaints] == ["s"]


@in_a_loop
async def test_an_adopted_try_ends_like_any_other(folder: StateFolder) -> None:
    crashed(folder)
    house = Household(folder)
    house.executor.found["a"] = adopted
    house.scheduler.take_queued()
    house.executor.said()
    house.executor.report(ended(Place("r", "a", 1, folder.run("r").attempts, 0)))
    assert house.executor.said() == ["launch b"]


@in_a_loop
async def test_a_reboot_is_told_from_a_crash(folder: StateFolder) -> None:
    crashed(folder)
    house = Household(folder, boot="boot-2")
    house.scheduler.take_queued()
    assert house.executor.said() == ["recover a rebooted"]
    house.scheduler.close()
    again = Household(folder, boot="boot-2")
    again.executor.found["a"] = adopted
    again.scheduler.take_queued()
    # It is held by now: there is nothing to be found any more.
    again.executor.assert_nothing_else_said()


@in_a_loop
async def test_a_stop_that_may_not_have_been_sent_is_sent_again(
    folder: StateFolder,
) -> None:
    crashed(
        folder,
        ev.CancelRequested("r", 1002.0, now=True),
        ev.AttemptStopping("r", 1002.0, "a", 1, "request", now=True),
    )
    house = Household(folder)
    house.executor.found["a"] = adopted
    house.scheduler.take_queued()
    assert house.executor.said() == ["recover a", "stop a now"]


@in_a_loop
async def test_a_stop_that_was_not_even_decided_is(folder: StateFolder) -> None:
    crashed(folder, ev.CancelRequested("r", 1002.0))
    house = Household(folder)
    house.executor.found["a"] = adopted
    house.scheduler.take_queued()
    assert house.executor.said() == ["recover a", "stop a"]


@in_a_loop
async def test_a_try_that_never_began_in_a_cancelled_run_does_not_begin(
    folder: StateFolder,
) -> None:
    crashed(folder, ev.CancelRequested("r", 1002.0))
    house = Household(folder)
    house.executor.found["a"] = voided
    house.scheduler.take_queued()
    assert house.executor.said() == ["recover a"]
    assert house.journal()[-1] == ev.RunFinished("r", 1000.0, "cancelled")


@pytest.mark.parametrize(
    ("found", "fact"), [(voided, "AttemptVoided"), (None, "AttemptFinished")]
)
@in_a_loop
async def test_nothing_begins_again_in_a_group_whose_time_is_over(
    folder: StateFolder, found: Optional[Callable[[Place], Report]], fact: str
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
    house.scheduler.take("r")
    assert house.executor.said() == ["recover g/x"]
    assert house.kinds()[3:] == ["OwnerTook", fact, "GroupFinished", "RunFinished"]


@in_a_loop
async def test_what_a_crash_left_undone_is_done(folder: StateFolder) -> None:
    # The end of a was written down, but not the start of b that follows.
    crashed(folder, ev.AttemptFinished("r", 1002.0, "a", 1, "succeeded", 0))
    house = Household(folder)
    house.scheduler.take_queued()
    assert house.executor.said() == ["launch b"]


@in_a_loop
async def test_the_next_owner_has_the_state_that_the_one_before_had(
    folder: StateFolder,
) -> None:
    submit(folder, a_workflow(task("a"), task("b"), task("c", ["a"]), timeout_s=60))
    first = Household(folder)
    first.scheduler.take("r")
    first.executor.end("a")
    second = Household(folder)
    for task_id in ("b", "c"):
        second.executor.found[task_id] = adopted
    before = picture(first.scheduler.state)
    first.scheduler.close()
    second.scheduler.take("r")
    assert picture(second.scheduler.state) == before


@in_a_loop
async def test_a_held_task_waits_for_any_owner(folder: StateFolder) -> None:
    crashed(folder, ev.TaskHeld("r", 1002.0, "a", 1, "lost", "gone"))
    house = Household(folder)
    house.scheduler.take_queued()
    house.executor.assert_nothing_else_said()
    house.scheduler.request(Resolve("r", "a", "rerun"))
    assert house.executor.said() == ["launch a.2"]


@in_a_loop
async def test_there_is_no_second_owner(folder: StateFolder) -> None:
    run = submit(folder, ONE)
    folder.enqueue("r")
    first, second = Household(folder), Household(folder)
    first.scheduler.take("r")
    before = run.journal.read_bytes()
    with pytest.raises(Refused, match="r has an owner already: the scheduler, process"):
        second.scheduler.take("r")
    second.scheduler.take_queued()
    assert [type(problem) for _, problem in second.complaints] == [Refused]
    assert run.journal.read_bytes() == before
    assert second.scheduler.state.runs == {}
    first.scheduler.take_queued()
    assert first.complaints == []
    first.scheduler.close()
    second.scheduler.take("r")
    assert second.executor.said() == ["recover a"]


@in_a_loop
async def test_a_finished_run_is_not_taken_and_loses_its_marker(
    folder: StateFolder,
) -> None:
    run = submit(folder, a_workflow())
    folder.enqueue("r")
    append(run, [ev.RunFinished("r", 1001.0, "succeeded")])
    before = run.journal.read_bytes()
    house = Household(folder)
    with pytest.raises(Refused, match="run r has ended: succeeded"):
        house.scheduler.take("r")
    assert folder.queued() == []
    assert run.journal.read_bytes() == before
    assert not is_locked(run.lock)


def damage(folder: StateFolder, how: str, name: str = "r") -> None:
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
async def test_damage_touches_one_run(
    folder: StateFolder, how: str, kind: type
) -> None:
    crashed(folder)
    run = folder.run("r")
    # Separate commits, so that damage can be proven.
    append(run, [ev.AttemptAdopted("r", 1002.0, "a", 1)])
    submit(folder, ONE, run="s")
    folder.enqueue("s")
    damage(folder, how)
    before = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    house = Household(folder)
    house.scheduler.take_queued()
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
async def test_a_torn_tail_is_no_damage(folder: StateFolder) -> None:
    crashed(folder)
    with folder.run("r").journal.open("ab") as file:
        file.write(b'{"v":1,"seq":4,"dur":3,"type":"attempt_fin')
    house = Household(folder)
    house.executor.found["a"] = ended
    house.scheduler.take_queued()
    assert house.executor.said() == ["recover a", "launch b"]


@in_a_loop
async def test_a_run_that_cannot_be_looked_after_is_let_go(
    folder: StateFolder,
) -> None:
    def unable(place: Place) -> Report:
        raise StateUnusable(f"{place.folder}: No space left on device")

    crashed(folder)
    house = Household(folder)
    house.executor.found["a"] = unable
    house.scheduler.take_queued()
    assert [type(problem) for _, problem in house.complaints] == [StateUnusable]
    assert not is_locked(folder.run("r").lock)
    assert (house.scheduler.state.runs, house.scheduler.state.running) == ({}, 0)
    house.executor.found["a"] = adopted
    house.scheduler.take_queued()
    house.scheduler.request(Cancel("r"))
    assert house.executor.said() == ["recover a", "recover a", "stop a"]


@pytest.mark.parametrize("but", [0, 1])
@in_a_loop
async def test_what_cannot_be_read_now_is_not_called_damaged(
    folder: StateFolder, but: int
) -> None:
    submit(folder, ONE)
    folder.enqueue("r")
    house = Household(folder)
    with no_descriptor_free(but=but):  # for the lock, and none for the journal
        house.scheduler.take_queued()
    ((_, problem),) = house.complaints
    assert isinstance(problem, StateUnusable)
    assert "Too many open files" in problem.message
    house.scheduler.take_queued()
    assert list(house.scheduler.state.runs) == ["r"]
