"""Limits how many progress reports become events: a few a second, always the last.

A task may report at any rate. The first report becomes an event at once. Of the reports
that follow within `INTERVAL_S`, only the last becomes an event, after that time or when
the attempt ends. If this process is killed, only such a delayed report is lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Tuple

from provctl.core.engine.events import ProgressReported

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.scheduler.clock import Clock


INTERVAL_S = 0.25  # between two events about one task

_Key = Tuple[str, str]


class ProgressThrottle:
    """Returns events to write now; passes delayed ones to `write`. Event loop only."""

    def __init__(self, clock: Clock, write: Callable[[List[Event]], object]) -> None:
        self._clock = clock
        self._write = write
        self._written_at: Dict[_Key, float] = {}
        self._waiting: Dict[_Key, ProgressReported] = {}
        self._alarm: Optional[asyncio.TimerHandle] = None

    def filter(self, events: Iterable[Event]) -> List[Event]:
        """Return the events to write now; a delayed one replaces an earlier one."""
        now = self._clock.now()
        return [
            event
            for event in events
            if not isinstance(event, ProgressReported) or self._passes(event, now)
        ]

    def _passes(self, event: ProgressReported, now: float) -> bool:
        key = (event.run, event.task)
        if self._wait_of(key, now) <= 0:
            self._written_at[key] = now
            self._waiting.pop(key, None)
            return True
        self._waiting[key] = event
        if self._alarm is None:
            self._set_alarm(now)
        return False

    def flush_last(self, run_id: str, task_id: str) -> List[ProgressReported]:
        """Return and forget the delayed report of a task whose attempt has ended."""
        self._written_at.pop((run_id, task_id), None)
        report = self._waiting.pop((run_id, task_id), None)
        return [] if report is None else [report]

    def forget(self, run_id: str) -> None:
        """Drop the delayed reports of a run that has another owner now."""
        for key in [key for key in self._written_at if key[0] == run_id]:
            self.flush_last(*key)

    def close(self) -> None:
        """Write all delayed reports now."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._let_through(list(self._waiting))

    def _wait_of(self, key: _Key, now: float) -> float:
        return self._written_at.get(key, -INTERVAL_S) + INTERVAL_S - now

    def _set_alarm(self, now: float) -> None:
        wait = min(self._wait_of(key, now) for key in self._waiting)
        self._alarm = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        now = self._clock.now()
        self._let_through([k for k in self._waiting if self._wait_of(k, now) <= 0])
        if self._waiting:
            self._set_alarm(now)

    def _let_through(self, keys: List[_Key]) -> None:
        self._written_at.update(dict.fromkeys(keys, self._clock.now()))
        events: List[Event] = [self._waiting.pop(key) for key in keys]
        if events:
            self._write(events)
