"""The schedules of the API: implements `api.http.backend` with the files of schedules.

A workflow is sent with its schedule and stored in it: a request over the API never
contains the path of a file. It is evaluated like a submitted workflow.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Mapping, Optional

from provctl.api.http.responses import as_json
from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.labels import fit_all
from provctl.core.model.schedule import Schedule, paused, resumed
from provctl.daemon.api_submission import brief_mistakes, put_schedule
from provctl.daemon.validation_process import LARGE
from provctl.scheduler.clock import WallClock
from provctl.schedules.status import (
    all_schedule_statuses,
    schedule_status,
    status_record,
)
from provctl.storage.schedules import Schedules

if TYPE_CHECKING:
    from provctl.api.http.backend import ListQuery, NewSchedule
    from provctl.config.settings import Settings
    from provctl.daemon.validation_process import SubmissionProcesses
    from provctl.schedules.runner import ScheduleRunner
    from provctl.storage.layout import StateDir


_AT_ONCE = 2  # at a time: the other threads are for requests without evaluation


@light_dataclass
class ScheduleApiDeps:
    """What the schedules of the API need. Used in the event loop.

    `take` makes the scheduler acquire queued runs; `note` writes a line to the log.
    """

    settings: Settings
    folder: StateDir
    schedule_runner: ScheduleRunner
    processes: SubmissionProcesses
    take: Callable[[], Awaitable[None]]
    note: Callable[[str], None]


class StoredSchedules:
    """Implements `api.http.backend.ScheduleBackend` for a state directory."""

    def __init__(self, api_deps: ScheduleApiDeps) -> None:
        self._api_deps = api_deps
        self._files = Schedules(api_deps.folder)
        self._clock = WallClock()
        self._pool: Optional[ThreadPoolExecutor] = None

    @property
    def times(self) -> Mapping[str, Optional[float]]:
        """The next time of each schedule; None for a schedule that has none."""
        return self._api_deps.schedule_runner.times

    async def all(self, page: ListQuery) -> bytes:
        """Return records of schedules, by name."""
        records: bytes = await self._in_thread(self._all, page)
        return records

    def _all(self, page: ListQuery) -> bytes:
        entries = all_schedule_statuses(
            self._api_deps.folder, self._files, self._clock.now()
        )
        found = [
            status_record(each) for each in entries if fit_all(page.labels, each.labels)
        ]
        return as_json(found[page.offset : page.offset + page.limit])

    async def one(self, name: str) -> bytes:
        """Return one schedule."""
        found: bytes = await self._in_thread(self._one, name)
        return found

    def _one(self, name: str) -> bytes:
        now = self._clock.now()
        return as_json(
            status_record(
                schedule_status(self._api_deps.folder, self._files, name, now)
            )
        )

    async def add(self, wish: NewSchedule) -> bool:
        """Add a schedule; return False if an identical one exists."""
        is_new: bool
        if len(wish.text) > LARGE:
            is_new = await self._api_deps.processes.put_schedule(wish)
        else:
            settings, folder = self._api_deps.settings, self._api_deps.folder
            is_new = await self._in_thread(put_schedule, settings, folder, wish)
        self._api_deps.schedule_runner.reload()
        return is_new

    async def remove(self, name: str) -> None:
        """Remove a schedule; its runs stay."""
        await self._in_thread(self._files.remove, name)
        self._api_deps.schedule_runner.reload()

    async def pause(self, name: str, reason: str) -> None:
        """Submit no runs of a schedule until it is resumed."""
        now = self._clock.now()
        await self._change(name, lambda it: paused(it, now, reason))

    async def resume(self, name: str, reason: str) -> None:
        """Resume a paused schedule."""
        now = self._clock.now()
        await self._change(name, lambda it: resumed(it, now))
        self._api_deps.note(
            f"schedule {name}: resumed" + (f": {reason}" if reason else "")
        )

    async def _change(self, name: str, change: Callable[[Schedule], Schedule]) -> None:
        await self._in_thread(self._files.change, name, change)
        self._api_deps.schedule_runner.reload()

    async def run(self, name: str, key: Optional[str], labels: Dict[str, str]) -> str:
        """Queue the workflow of a schedule now and return the run's id."""
        run_id: str = await self._in_thread(self._run, name, key, labels)
        await self._api_deps.take()
        return run_id

    def _run(self, name: str, key: Optional[str], labels: Dict[str, str]) -> str:
        from provctl.runs.submit import submit_and_enqueue
        from provctl.schedules.fire import evaluated, submit_options

        found = self._files.read(name)
        with brief_mistakes():
            workflow = evaluated(self._api_deps.settings, found)
        return submit_and_enqueue(
            self._api_deps.folder, workflow, submit_options(found, key, labels)
        )

    def close(self) -> None:
        """Start no further operations."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    async def _in_thread(self, act: Callable[..., Any], *args: Any) -> Any:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE)
        return await asyncio.get_running_loop().run_in_executor(self._pool, act, *args)
