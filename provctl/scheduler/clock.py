"""Clocks: one for events and deadlines, which never goes back, and the wall clock."""

from __future__ import annotations

import time


class Clock:
    """Wall time as it was at the start, advanced by the monotonic clock.

    Setting the clock back or forward while tasks run therefore triggers no deadline.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # noqa: TID251

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._offset + time.monotonic()


class WallClock(Clock):
    """The wall clock, which schedules use and which can be set."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()  # noqa: TID251
