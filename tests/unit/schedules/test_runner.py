"""The schedule runner: each time has one run, whatever happens in between."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, List

import pytest

from provctl.core.model.schedule import idempotency_key
from provctl.runs.submit import run_id_for_key
from provctl.schedules.fire import ScheduleTrigger
from provctl.storage.run_summary import summarise
from tests.support.resource_limits import no_descriptor_free
from tests.support.run_folders import disk_full_beyond
from tests.support.scheduler_harness import in_a_loop
from tests.support.timetables import NOON, TimeOffice

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.schedule import Schedule


@in_a_loop
async def test_due_time_becomes_a_run_with_the_label_of_its_schedule(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    made = runner_deps.add(priority=7, overlap="allow")
    await runner_deps.at(0.9)
    assert runner_deps.runs() == []
    await runner_deps.at(1)
    (run,) = runner_deps.runs()
    assert run == run_id_for_key(idempotency_key(made, NOON + 3600))
    told = summarise(runner_deps.folder.run(run))
    assert (told.labels["schedule"], told.priority, told.name) == ("s", 7, "w")
    assert runner_deps.folder.queued() == [run]
    assert runner_deps.said == [f"schedule s: run {run}"]
    assert runner_deps.past().run == run
    await runner_deps.at(1.5)
    await runner_deps.at(2)
    assert len(runner_deps.runs()) == 2
    runner_deps.close()


@in_a_loop
async def test_time_fires_once_if_the_scheduler_died_before_the_record(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    await runner_deps.at(1)
    (run,) = runner_deps.runs()
    # As it was on disk between the run and its record; the file has changed since.
    made = runner_deps.schedules.read("s")
    before = replace(runner_deps.past(), run="", at=None, waiting=(NOON + 3600,))
    runner_deps.schedules.note("s", before)
    runner_deps.folder.dequeue(run)
    runner_deps.write(["false"])
    runner_deps.going.add("s")  # it is no reason to skip itself
    runner_deps.close()
    following = TimeOffice(tmp_path, runner_deps.folder)
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
def test_missed_times_are_run_as_catch_up_says(
    tmp_path: Path, catch_up: str, count: int
) -> None:
    @in_a_loop
    async def story() -> None:
        runner_deps = TimeOffice(tmp_path)
        runner_deps.add(catch_up=catch_up, overlap="allow")
        await runner_deps.at(9.5)
        assert len(runner_deps.runs()) == count
        missed = [line for line in runner_deps.said if "missed" in line]
        assert missed == (
            [f"schedule s: {9 - count} times missed"] if count < 9 else []
        )
        await runner_deps.at(9.6)
        assert len(runner_deps.runs()) == count
        await runner_deps.at(10)
        assert len(runner_deps.runs()) == count + 1
        runner_deps.close()

    story()


@in_a_loop
async def test_overlap_skip_skips_the_next_time(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    await runner_deps.at(1)
    (run,) = runner_deps.runs()  # nobody runs it: it has not ended
    await runner_deps.at(2)
    assert runner_deps.runs() == [run]
    assert runner_deps.said[-1] == f"schedule s: skipped: run {run} has not finished"
    assert runner_deps.past().skipped == 1
    runner_deps.close()


@in_a_loop
async def test_overlap_allow_runs_both(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add(overlap="allow")
    runner_deps.going.add("s")
    await runner_deps.at(1)
    await runner_deps.at(2)
    assert len(runner_deps.runs()) == 2
    runner_deps.close()


@in_a_loop
async def test_overlap_queue_runs_one_after_another(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add(overlap="queue", catch_up="all")
    runner_deps.going.add("s")
    await runner_deps.at(1)
    await runner_deps.at(3)
    assert runner_deps.runs() == []
    assert runner_deps.past().waiting == tuple(NOON + 3600 * n for n in (1, 2, 3))
    runner_deps.close()
    # They wait on disk: for another scheduler, too.
    following = TimeOffice(tmp_path, runner_deps.folder)
    await following.at(3.1)
    assert len(following.runs()) == 1
    following.table.check("s")  # that one has not ended
    await following.table.wait_idle()
    assert len(following.runs()) == 1
    assert len(following.past().waiting) == 2
    following.close()


@in_a_loop
async def test_invalid_file_is_reported_and_the_next_time_tries_again(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    runner_deps.file.write_text('{"tasks": {"a": {}}}')
    await runner_deps.at(1)
    assert runner_deps.runs() == []
    past = runner_deps.past()
    assert past.trouble_at == NOON + 3600
    assert past.trouble.startswith(f"{runner_deps.file}:1: ")
    assert runner_deps.said == [f"schedule s: could not be submitted: {past.trouble}"]
    runner_deps.write(["true"])
    await runner_deps.at(2)
    assert len(runner_deps.runs()) == 1
    assert runner_deps.past().trouble == ""
    runner_deps.close()


@in_a_loop
async def test_paused_schedule_fires_nothing_and_catches_up_nothing(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add(catch_up="all", paused_at=NOON)
    await runner_deps.at(5)
    assert (runner_deps.runs(), runner_deps.said) == ([], [])
    runner_deps.schedules.change(
        "s", lambda it: replace(it, paused_at=None, since=NOON + 5 * 3600)
    )
    await runner_deps.at(5.5)
    assert runner_deps.runs() == []
    await runner_deps.at(6)
    assert len(runner_deps.runs()) == 1
    runner_deps.close()


@in_a_loop
async def test_runner_reports_the_next_times(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    runner_deps.add(name="still", paused_at=NOON)
    await runner_deps.at(0.5)
    assert runner_deps.table.times == {"s": NOON + 3600, "still": None}
    runner_deps.schedules.remove("s")
    await runner_deps.at(0.6)
    assert runner_deps.table.times == {"still": None}
    runner_deps.close()


@in_a_loop
async def test_schedules_can_be_removed_and_added_while_running(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    await runner_deps.at(0.5)
    runner_deps.schedules.remove("s")
    runner_deps.add(name="t")
    await runner_deps.at(1)
    (run,) = runner_deps.runs()
    assert summarise(runner_deps.folder.run(run)).labels == {"schedule": "t"}
    runner_deps.close()


@in_a_loop
async def test_damaged_schedule_stops_alone_and_is_reported_once(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    runner_deps.add(name="t")
    path = runner_deps.folder.path / "schedules" / "s.json"
    path.write_bytes(path.read_bytes()[:-9])
    await runner_deps.at(1)
    await runner_deps.at(1.2)
    (run,) = runner_deps.runs()
    assert summarise(runner_deps.folder.run(run)).labels == {"schedule": "t"}
    (damage,) = [line for line in runner_deps.said if "schedule s: " in line]
    assert "s.json: damaged" in damage
    assert damage.endswith("; the schedule is not active")
    runner_deps.close()


@in_a_loop
async def test_time_is_not_lost_on_a_full_disk(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    with disk_full_beyond(20):
        await runner_deps.at(1)
    assert runner_deps.runs() == []
    assert "retrying in 15 s" in runner_deps.said[-1]
    await runner_deps.at(1.01)
    assert len(runner_deps.runs()) == 1
    runner_deps.close()


@in_a_loop
async def test_clock_set_back_fires_nothing_twice(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add(overlap="allow")
    await runner_deps.at(1)
    await runner_deps.at(2)
    before = runner_deps.runs()
    for hours in (1.9, 2, 0.5, 1, 2):
        await runner_deps.at(hours)
        assert runner_deps.runs() == before
    await runner_deps.at(3)
    assert len(runner_deps.runs()) == 3
    runner_deps.close()


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_clock_that_was_wrong_for_a_while_fires_nothing_twice(
    tmp_path: Path, catch_up: str
) -> None:
    @in_a_loop
    async def story() -> None:
        runner_deps = TimeOffice(tmp_path)
        runner_deps.add(overlap="allow", catch_up=catch_up)
        for hours in (24, 25, 26):
            await runner_deps.at(hours)
        for run in runner_deps.runs():
            shutil.rmtree(
                str(runner_deps.folder.run(run).path)
            )  # long done, and pruned
        before = runner_deps.past()
        await runner_deps.at(-50 * 365 * 24)  # as where a clock has no battery
        await runner_deps.at(26.1)
        assert runner_deps.runs() == []
        assert replace(runner_deps.past(), until=0, furthest=0) == replace(
            before, until=0
        )
        await runner_deps.at(27)
        assert len(runner_deps.runs()) == 1
        runner_deps.close()

    story()


@in_a_loop
async def test_clock_that_was_a_year_ahead_does_not_block_the_schedule(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add(overlap="allow")
    await runner_deps.at(365 * 24)
    assert len(runner_deps.runs()) == 1
    await runner_deps.at(0.5)
    assert runner_deps.said[-1].endswith(
        "the clock was set back: continuing from the current time"
    )
    seen: List[int] = []
    for hours in (1, 1, 2, 0.9, 1, 2):
        await runner_deps.at(hours)
        seen.append(len(runner_deps.runs()))
    assert seen == [2, 2, 3, 3, 3, 3]
    runner_deps.close()


@in_a_loop
async def test_unreadable_schedule_is_not_reported_as_damaged(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path)
    runner_deps.add()
    with no_descriptor_free():
        await runner_deps.at(1)
    assert runner_deps.said == [
        f"{tmp_path}/state/schedules: Too many open files; retrying in 15 s"
    ]
    with no_descriptor_free():
        runner_deps.clock.time = NOON + 3600
        runner_deps.table.check("s")
        await runner_deps.table.wait_idle()
    assert runner_deps.said[-1].endswith("Too many open files; retrying in 15 s")
    await runner_deps.at(1.01)
    assert len(runner_deps.runs()) == 1
    runner_deps.close()


class Buggy(ScheduleTrigger):
    """A firing with a bug at one time of one schedule."""

    def fire(self, schedule: Schedule, at: float) -> str:
        if schedule.name == "s" and at == NOON + 3600:
            raise ZeroDivisionError
        return super().fire(schedule, at)


@in_a_loop
async def test_bug_in_one_schedule_does_not_stop_others(tmp_path: Path) -> None:
    runner_deps = TimeOffice(tmp_path, firing=Buggy)
    runner_deps.add()
    runner_deps.add(name="t")
    await runner_deps.at(1)
    assert len(runner_deps.runs()) == 1
    told = "schedule s: ZeroDivisionError(), which is a bug in provctl"
    assert told in runner_deps.said
    runner_deps.schedules.remove("s")
    await runner_deps.at(2)
    assert runner_deps.said.count(told) == 1
    runner_deps.close()
