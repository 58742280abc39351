"""The timer follows the wall clock and never fires early."""

from __future__ import annotations

import asyncio
from typing import List

from provctl.scheduler.clock import WallClock
from provctl.schedules.wall_timer import WallClockTimer
from tests.support.scheduler_harness import in_a_loop

CLOCK = WallClock()


@in_a_loop
async def test_timer_fires_at_its_time_and_not_before() -> None:
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
async def test_past_time_fires_at_once_and_the_last_time_counts() -> None:
    heard = asyncio.Event()
    alarm = WallClockTimer(heard.set)
    alarm.set(CLOCK.now() + 3600)
    alarm.set(CLOCK.now() - 3600)
    await heard.wait()
    alarm.close()


@in_a_loop
async def test_timer_without_a_time_does_not_fire() -> None:
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
