"""The timetable: each time has one run, whatever happens in between."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, List

import pytest

from provctl.app.firing import Firing
from provctl.app.submit import id_of_key
from provctl.core.schedule import key_of
from provctl.journal.summary import summarise
from tests.support.household import in_a_loop
from tests.support.run_folders import disk_full_beyond
from tests.support.scarcity import no_descriptor_free
from tests.support.timetables import NOON, TimeOffice

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.schedule import Schedule


@in_a_loop
async def test_a_time_becomes_a_run_that_knows_its_schedule(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    made = office.add(priority=7, overlap="allow")
    await office.at(0.9)
    assert office.runs() == []
    await office.at(1)
    (run,) = office.runs()
    assert run == id_of_key(key_of(made, NOON + 3600))
    told = summarise(office.folder.run(run))
    assert (told.labels["schedule"], told.priority, told.name) == ("s", 7, "w")
    assert office.folder.queued() == [run]
    assert office.said == [f"schedule s: run {run}"]
    assert office.past().run == run
    await office.at(1.5)
    await office.at(2)
    assert len(office.runs()) == 2
    office.close()


@in_a_loop
async def test_who_died_before_the_record_fires_nothing_twice(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    await office.at(1)
    (run,) = office.runs()
    # As it was on disk between the run and its record; the file has changed since.
    made = office.schedules.read("s")
    before = replace(office.past(), run="", at=None, waiting=(NOON + 3600,))
    office.schedules.note("s", before)
    office.folder.dequeue(run)
    office.write(["false"])
    office.going.add("s")  # it is no reason to skip itself
    office.close()
    following = TimeOffice(tmp_path, office.folder)
    following.going.add("s")
    await following.at(1.5)
    assert following.runs() == [run]
    assert following.past().run == run
    assert following.folder.queued() == [run]
    assert following.past().skipped == 0
    assert made == following.schedules.read("s")
    following.close()


@pytest.mark.parametrize(
    ("catch_up", "count"), [("none", 0), ("latest", 1), ("all", 9)]
)
def test_what_was_missed_is_made_up_for(
    tmp_path: Path, catch_up: str, count: int
) -> None:
    @in_a_loop
    async def story() -> None:
        office = TimeOffice(tmp_path)
        office.add(catch_up=catch_up, overlap="allow")
        await office.at(9.5)
        assert len(office.runs()) == count
        missed = [line for line in office.said if "missed" in line]
        assert missed == (
            [f"schedule s: {9 - count} times missed"] if count < 9 else []
        )
        await office.at(9.6)
        assert len(office.runs()) == count
        await office.at(10)
        assert len(office.runs()) == count + 1
        office.close()

    story()


@in_a_loop
async def test_a_run_that_goes_on_has_the_next_one_skipped(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    await office.at(1)
    (run,) = office.runs()  # nobody runs it: it has not ended
    await office.at(2)
    assert office.runs() == [run]
    assert office.said[-1] == f"schedule s: skipped: run {run} of it has not ended"
    assert office.past().skipped == 1
    office.close()


@in_a_loop
async def test_with_allow_both_run(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add(overlap="allow")
    office.going.add("s")
    await office.at(1)
    await office.at(2)
    assert len(office.runs()) == 2
    office.close()


@in_a_loop
async def test_with_queue_they_come_one_after_the_other(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add(overlap="queue", catch_up="all")
    office.going.add("s")
    await office.at(1)
    await office.at(3)
    assert office.runs() == []
    assert office.past().waiting == tuple(NOON + 3600 * n for n in (1, 2, 3))
    office.close()
    # They wait on disk: for another scheduler, too.
    following = TimeOffice(tmp_path, office.folder)
    await following.at(3.1)
    assert len(following.runs()) == 1
    following.table.stir("s")  # that one has not ended
    await following.table.settled()
    assert len(following.runs()) == 1
    assert len(following.past().waiting) == 2
    following.close()


@in_a_loop
async def test_a_file_with_a_mistake_is_told_and_the_next_time_tries_anew(
    tmp_path: Path,
) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    office.file.write_text('{"tasks": {"a": {}}}')
    await office.at(1)
    assert office.runs() == []
    past = office.past()
    assert past.trouble_at == NOON + 3600
    assert past.trouble.startswith(f"{office.file}:1: ")
    assert office.said == [f"schedule s: cannot be run: {past.trouble}"]
    office.write(["true"])
    await office.at(2)
    assert len(office.runs()) == 1
    assert office.past().trouble == ""
    office.close()


@in_a_loop
async def test_a_paused_one_does_nothing_and_makes_up_for_nothing(
    tmp_path: Path,
) -> None:
    office = TimeOffice(tmp_path)
    office.add(catch_up="all", paused_at=NOON)
    await office.at(5)
    assert (office.runs(), office.said) == ([], [])
    office.schedules.change(
        "s", lambda it: replace(it, paused_at=None, since=NOON + 5 * 3600)
    )
    await office.at(5.5)
    assert office.runs() == []
    await office.at(6)
    assert len(office.runs()) == 1
    office.close()


@in_a_loop
async def test_it_says_what_it_waits_for(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    office.add(name="still", paused_at=NOON)
    await office.at(0.5)
    assert office.table.times == {"s": NOON + 3600, "still": None}
    office.schedules.remove("s")
    await office.at(0.6)
    assert office.table.times == {"still": None}
    office.close()


@in_a_loop
async def test_one_that_is_removed_and_one_that_is_added(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    await office.at(0.5)
    office.schedules.remove("s")
    office.add(name="t")
    await office.at(1)
    (run,) = office.runs()
    assert summarise(office.folder.run(run)).labels == {"schedule": "t"}
    office.close()


@in_a_loop
async def test_damage_stops_this_one_and_is_said_once(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    office.add(name="t")
    path = office.folder.path / "schedules" / "s.json"
    path.write_bytes(path.read_bytes()[:-9])
    await office.at(1)
    await office.at(1.2)
    (run,) = office.runs()
    assert summarise(office.folder.run(run)).labels == {"schedule": "t"}
    (damage,) = [line for line in office.said if "schedule s: " in line]
    assert "s.json: damaged" in damage
    assert damage.endswith("; it does not fire")
    office.close()


@in_a_loop
async def test_on_a_full_disk_a_time_is_not_lost(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    with disk_full_beyond(20):
        await office.at(1)
    assert office.runs() == []
    assert "tried again in 15 s" in office.said[-1]
    await office.at(1.01)
    assert len(office.runs()) == 1
    office.close()


@in_a_loop
async def test_a_clock_that_goes_back_fires_nothing_twice(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add(overlap="allow")
    await office.at(1)
    await office.at(2)
    before = office.runs()
    for hours in (1.9, 2, 0.5, 1, 2):
        await office.at(hours)
        assert office.runs() == before
    await office.at(3)
    assert len(office.runs()) == 3
    office.close()


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_a_clock_that_was_wrong_for_a_while_fires_nothing_twice(
    tmp_path: Path, catch_up: str
) -> None:
    @in_a_loop
    async def story() -> None:
        office = TimeOffice(tmp_path)
        office.add(overlap="allow", catch_up=catch_up)
        for hours in (24, 25, 26):
            await office.at(hours)
        for run in office.runs():
            shutil.rmtree(str(office.folder.run(run).path))  # long done, and pruned
        before = office.past()
        await office.at(-50 * 365 * 24)  # as where a clock has no battery
        await office.at(26.1)
        assert office.runs() == []
        assert replace(office.past(), until=0, furthest=0) == replace(before, until=0)
        await office.at(27)
        assert len(office.runs()) == 1
        office.close()

    story()


@in_a_loop
async def test_a_clock_that_was_a_year_ahead_is_no_year_of_silence(
    tmp_path: Path,
) -> None:
    office = TimeOffice(tmp_path)
    office.add(overlap="allow")
    await office.at(365 * 24)
    assert len(office.runs()) == 1
    await office.at(0.5)
    assert office.said[-1].endswith("the clock was far ahead: it goes on from now")
    seen: List[int] = []
    for hours in (1, 1, 2, 0.9, 1, 2):
        await office.at(hours)
        seen.append(len(office.runs()))
    assert seen == [2, 2, 3, 3, 3, 3]
    office.close()


@in_a_loop
async def test_a_schedule_that_cannot_be_read_is_not_damaged(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path)
    office.add()
    with no_descriptor_free():
        await office.at(1)
    assert office.said == [
        f"{tmp_path}/state/schedules: Too many open files; tried again in 15 s"
    ]
    with no_descriptor_free():
        office.clock.time = NOON + 3600
        office.table.stir("s")
        await office.table.settled()
    assert office.said[-1].endswith("Too many open files; tried again in 15 s")
    await office.at(1.01)
    assert len(office.runs()) == 1
    office.close()


class Buggy(Firing):
    """A firing that has a bug at one time of one schedule."""

    def fire(self, schedule: Schedule, at: float) -> str:
        if schedule.name == "s" and at == NOON + 3600:
            raise ZeroDivisionError
        return super().fire(schedule, at)


@in_a_loop
async def test_a_bug_with_one_silences_no_other(tmp_path: Path) -> None:
    office = TimeOffice(tmp_path, firing=Buggy)
    office.add()
    office.add(name="t")
    await office.at(1)
    assert len(office.runs()) == 1
    told = "schedule s: ZeroDivisionError(), which is a bug in provctl"
    assert told in office.said
    office.schedules.remove("s")
    await office.at(2)
    assert office.said.count(told) == 1
    office.close()
