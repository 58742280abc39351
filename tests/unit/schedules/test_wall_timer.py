"""An alarm goes by the clock on the wall, and never before its time is set."""

from __future__ import annotations

import asyncio
from typing import List

from provctl.scheduler.clock import WallClock
from provctl.schedules.wall_timer import WallClockTimer
from tests.support.scheduler_harness import in_a_loop

CLOCK = WallClock()


@in_a_loop
async def test_it_rings_when_it_is_time_and_not_before() -> None:
    rang: List[float] = []
    heard = asyncio.Event()

    def ring() -> None:
        rang.append(CLOCK.now())
        heard.set()

    alarm = WallClockTimer(ring)
    at = CLOCK.now() + 0.05
    alarm.set(at)
    await heard.wait()
    alarm.close()
    (when,) = rang
    assert when >= at


@in_a_loop
async def test_a_time_that_is_over_rings_at_once_and_the_last_one_counts() -> None:
    heard = asyncio.Event()
    alarm = WallClockTimer(heard.set)
    alarm.set(CLOCK.now() + 3600)
    alarm.set(CLOCK.now() - 3600)
    await heard.wait()
    alarm.close()


@in_a_loop
async def test_without_a_time_it_is_silent() -> None:
    rang: List[int] = []
    heard = asyncio.Event()
    silent, other = WallClockTimer(lambda: rang.append(1)), WallClockTimer(heard.set)
    silent.set(CLOCK.now() + 0.01)
    silent.set(None)
    other.set(CLOCK.now() + 0.05)
    await heard.wait()
    assert rang == []
    silent.close()
    other.close()
    silent.close()
