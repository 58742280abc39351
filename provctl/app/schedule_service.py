"""Owns what the API can do with schedules: the contract of `api.service`, over their files.

A workflow is sent with its schedule and kept in it: what comes over the API is never
the path of a file. It is evaluated as one that is submitted so.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from provctl.api.envelope import as_json
from provctl.app.almanac import all_entries, entry, record
from provctl.app.api_submission import brief_mistakes, put_schedule
from provctl.app.submission_process import LARGE
from provctl.core.labels import fit_all
from provctl.core.schedule import Schedule, paused, resumed
from provctl.journal.schedules import Schedules
from provctl.scheduler.clock import WallClock

if TYPE_CHECKING:
    from provctl.api.service import Page, ScheduleWish
    from provctl.app.submission_process import SubmissionProcesses
    from provctl.app.timetable import Timetable
    from provctl.config.settings import Settings
    from provctl.journal.folder import StateFolder

__all__ = ["FiledSchedules", "Hall"]

_AT_ONCE = 2  # of these: others have threads for what takes no evaluation


@dataclass(frozen=True)
class Hall:
    """What schedules are about, and who hears of a change: of the event loop.

    `take` has the scheduler take what was queued; `note` puts a line into the log.
    """

    settings: Settings
    folder: StateFolder
    timetable: Timetable
    processes: SubmissionProcesses
    take: Callable[[], None]
    note: Callable[[str], None]


class FiledSchedules:
    """Answers for the schedules of a state directory. See `api.service.Schedules`."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._files = Schedules(hall.folder)
        self._clock = WallClock()
        self._pool: Optional[ThreadPoolExecutor] = None

    @property
    def times(self) -> Mapping[str, Optional[float]]:
        """The next time of each schedule; None for one that waits for none."""
        return self._hall.timetable.times

    async def all(self, page: Page) -> bytes:
        """Return records of schedules, by their names."""
        records: bytes = await self._aside(self._all, page)
        return records

    def _all(self, page: Page) -> bytes:
        entries = all_entries(self._hall.folder, self._files, self._clock.now())
        found = [record(each) for each in entries if fit_all(page.labels, each.labels)]
        return as_json(found[page.offset : page.offset + page.limit])

    async def one(self, name: str) -> bytes:
        """Return one schedule."""
        found: bytes = await self._aside(self._one, name)
        return found

    def _one(self, name: str) -> bytes:
        now = self._clock.now()
        return as_json(record(entry(self._hall.folder, self._files, name, now)))

    async def add(self, wish: ScheduleWish) -> bool:
        """Add a schedule; return False if it is there and the same."""
        is_new: bool
        if len(wish.text) > LARGE:
            is_new = await self._hall.processes.put_schedule(wish)
        else:
            settings, folder = self._hall.settings, self._hall.folder
            is_new = await self._aside(put_schedule, settings, folder, wish)
        self._hall.timetable.look()
        return is_new

    async def remove(self, name: str) -> None:
        """Remove a schedule; its runs stay."""
        await self._aside(self._files.remove, name)
        self._hall.timetable.look()

    async def pause(self, name: str, reason: str) -> None:
        """Submit nothing of a schedule until it is resumed."""
        now = self._clock.now()
        await self._change(name, lambda it: paused(it, now, reason))

    async def resume(self, name: str, reason: str) -> None:
        """Go on with a paused schedule."""
        now = self._clock.now()
        await self._change(name, lambda it: resumed(it, now))
        self._hall.note(f"schedule {name}: resumed" + (f": {reason}" if reason else ""))

    async def _change(self, name: str, change: Callable[[Schedule], Schedule]) -> None:
        await self._aside(self._files.change, name, change)
        self._hall.timetable.look()

    async def run(self, name: str, key: Optional[str], labels: Dict[str, str]) -> str:
        """Queue the workflow of a schedule now and return the run's id."""
        run_id: str = await self._aside(self._run, name, key, labels)
        self._hall.take()
        return run_id

    def _run(self, name: str, key: Optional[str], labels: Dict[str, str]) -> str:
        from provctl.app.firing import evaluated, wishes_of
        from provctl.app.submit import queue

        found = self._files.read(name)
        with brief_mistakes():
            workflow = evaluated(self._hall.settings, found)
        return queue(self._hall.folder, workflow, wishes_of(found, key, labels))

    def close(self) -> None:
        """Begin nothing more."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    async def _aside(self, act: Callable[..., Any], *args: Any) -> Any:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE)
        return await asyncio.get_running_loop().run_in_executor(self._pool, act, *args)
