"""Which times of a schedule become runs: pure decisions, also with a wrong clock."""

from __future__ import annotations

from dataclasses import replace
from typing import List

import pytest

from provctl.core.model.schedule import (
    CATCH_UP,
    MOST,
    Schedule,
    ScheduleState,
    adjust_to_clock,
    after_failure,
    after_fire,
    after_skip,
    idempotency_key,
    initial_state,
    paused,
    record_due_times,
    resumed,
)
from provctl.errors import RequestRejected

HOUR = 3600.0
NOW = 1_800_000_000.0


def a_schedule(catch_up: str = "latest", since: float = NOW) -> Schedule:
    return Schedule("s", "m", "/w.json", "0 * * * *", "UTC", since, catch_up=catch_up)


def waiting(catch_up: str, times: List[float]) -> ScheduleState:
    it = a_schedule(catch_up)
    return record_due_times(it, initial_state(it), times, NOW)


@pytest.mark.parametrize("catch_up", CATCH_UP)
def test_time_that_is_due_now_is_not_missed(catch_up: str) -> None:
    past = waiting(catch_up, [NOW - 0.1])
    assert (past.waiting, past.missed, past.until) == ((NOW - 0.1,), 0, NOW - 0.1)


@pytest.mark.parametrize(
    ("catch_up", "kept"), [("none", []), ("latest", [-1]), ("all", [-3, -2, -1])]
)
def test_missed_times_are_run_as_catch_up_says(catch_up: str, kept: List[int]) -> None:
    past = waiting(catch_up, [NOW + n * HOUR for n in (-3, -2, -1)])
    assert list(past.waiting) == [NOW + n * HOUR for n in kept]
    assert past.missed == 3 - len(kept)
    assert past.until == NOW - HOUR


def test_catch_up_none_still_runs_the_time_that_is_due_now() -> None:
    past = waiting("none", [NOW - HOUR, NOW])
    assert (past.waiting, past.missed) == ((NOW,), 1)


def test_number_of_missed_times_is_limited() -> None:
    times = [NOW - n * HOUR for n in range(MOST + 1, 0, -1)]
    past = waiting("all", times)
    assert (past.waiting, past.missed) == (tuple(times[1:]), 1)


def test_number_of_waiting_times_is_limited() -> None:
    it = a_schedule("all")
    past = record_due_times(
        it, waiting("all", [NOW - n for n in range(MOST, 0, -1)]), [NOW], NOW
    )
    assert (len(past.waiting), past.skipped, past.until) == (MOST, 1, NOW)


def test_first_waiting_time_is_run_skipped_or_fails() -> None:
    past = waiting("all", [NOW - 3, NOW - 2, NOW - 1])
    past = after_fire(after_failure(past, "no file"), "bcd")
    assert (past.run, past.at, past.trouble) == ("bcd", NOW - 2, "")
    past = after_skip(past)
    assert (past.waiting, past.skipped, past.run) == ((), 1, "bcd")
    broken = after_failure(waiting("all", [NOW]), "no file")
    assert (broken.trouble, broken.trouble_at, broken.waiting) == ("no file", NOW, ())


def test_times_during_a_pause_are_not_missed() -> None:
    it = a_schedule(since=NOW)
    past = ScheduleState("m", since=NOW - 9 * HOUR, until=NOW - 5 * HOUR)
    assert adjust_to_clock(it, past, NOW).until == NOW


def test_clock_set_back_a_little_fires_nothing_twice() -> None:
    past = ScheduleState("m", since=NOW, until=NOW + 2 * HOUR)
    assert adjust_to_clock(a_schedule(), past, NOW) == past


def test_clock_that_was_far_ahead_does_not_block_a_schedule() -> None:
    past = ScheduleState("m", since=NOW, until=NOW + 365 * 24 * HOUR)
    assert adjust_to_clock(a_schedule(), past, NOW).until == NOW
    ahead = a_schedule(since=NOW + 365 * 24 * HOUR)
    first = adjust_to_clock(ahead, initial_state(ahead), NOW)
    assert first.until == NOW
    assert adjust_to_clock(ahead, first, NOW + 1) == first


def test_idempotency_key_of_a_time_is_readable() -> None:
    assert idempotency_key(a_schedule(), NOW) == "s/2027-01-15T08:00:00Z"


def test_pause_can_be_ended_once() -> None:
    still = paused(a_schedule(), NOW + 1, "lunch")
    assert (still.paused_at, still.reason) == (NOW + 1, "lunch")
    assert resumed(still, NOW + 2) == a_schedule(since=NOW + 2)
    with pytest.raises(RequestRejected):
        resumed(a_schedule(), NOW)


def test_schedules_are_equal_whoever_created_them_and_when() -> None:
    one = a_schedule()
    other = replace(one, made="n", since=NOW + 1, cwd="/x", environment={"A": "b"})
    assert one.asks_as(other)
    assert one.asks_as(paused(other, NOW, "lunch"))
    for fields in ({"cron": "1 * * * *"}, {"body": "{}"}, {"labels": {"a": "b"}}):
        assert not one.asks_as(replace(one, **fields))
