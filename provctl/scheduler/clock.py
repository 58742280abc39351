"""The time: a clock for facts and deadlines, which never goes back, and the wall's."""

from __future__ import annotations

import time


class Clock:
    """Wall time as it was at the start, carried on by the monotonic clock.

    So a clock set back or forward while tasks run fires no deadline.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # noqa: TID251

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._offset + time.monotonic()


class WallClock(Clock):
    """The clock on the wall: what schedules go by, and what can be set."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()  # noqa: TID251
