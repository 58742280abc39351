"""Runs the schedules of a running scheduler: waits for the next time, and fires it.

Records a time before it fires, and again when it has its run. The id of the run is
derived from the time, so after a crash in between the next scheduler finds the run and
does not create a second one.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Set,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.schedule import (
    MOST,
    adjust_to_clock,
    after_failure,
    after_fire,
    after_skip,
    record_due_times,
)
from provctl.errors import InvalidWorkflow, NotFound, ProvctlError, StateDirError
from provctl.schedules.wall_timer import WallClockTimer

if TYPE_CHECKING:
    from provctl.core.model.schedule import Schedule, ScheduleState
    from provctl.scheduler.clock import Clock
    from provctl.schedules.fire import ScheduleTrigger
    from provctl.storage.schedules import Schedules


_AT_ONCE = 2  # maximum number of parallel evaluations
_AGAIN_S = 15.0  # seconds after which a full disk is retried


@light_dataclass
class ScheduleRunnerDeps:
    """The dependencies of the runner.

    `goes_on` returns whether the scheduler has an unfinished run of the schedule with a
    name. `take` lets the scheduler acquire queued runs. `log` gets messages for users.
    """

    schedules: Schedules
    firing: ScheduleTrigger
    clock: Clock
    goes_on: Callable[[str], bool]
    take: Callable[[], Awaitable[None]]
    log: Callable[[str], None]


class ScheduleRunner:
    """Fires the schedules of one state directory. Create it inside a running loop."""

    def __init__(self, runner_deps: ScheduleRunnerDeps) -> None:
        self._runner_deps = runner_deps
        self._names: List[str] = []
        self._next: Dict[str, float] = {}
        self._busy: Dict[str, asyncio.Task[None]] = {}
        self._again: Set[str] = set()
        self._told: Dict[str, str] = {}
        self._pool: Optional[ThreadPoolExecutor] = None
        self._alarm: Optional[WallClockTimer] = None
        self._retry: Optional[asyncio.TimerHandle] = None

    @property
    def times(self) -> Mapping[str, Optional[float]]:
        """The next time of each schedule; None for a schedule without a next time."""
        return {name: self._next.get(name) for name in self._names}

    def reload(self) -> None:
        """Reload all schedules and fire what is due, in the background."""
        try:
            names = self._runner_deps.schedules.names()
        except StateDirError as problem:
            self._tell("", f"{problem.message}; retrying in {_AGAIN_S:g} s")
            self._look_again()
            return
        self._told.pop("", None)
        self._names = names
        for name in self._next.keys() - set(names):
            del self._next[name]
        for name in names:
            self.check(name)
        self._set_alarm()

    def check(self, name: str) -> None:
        """Check one schedule: one of its runs has finished, or its time is due."""
        if name in self._busy:
            self._again.add(name)
        else:
            self._busy[name] = asyncio.ensure_future(self._attend(name))

    async def wait_idle(self) -> None:
        """Return when nothing is in progress."""
        while self._busy:
            await asyncio.gather(*self._busy.values())

    def close(self) -> None:
        """Stop. The next runner completes what is half done."""
        if self._alarm is not None:
            self._alarm.close()
        if self._retry is not None:
            self._retry.cancel()
        for task in self._busy.values():
            task.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    # -- one schedule ------------------------------------------------------------------

    async def _attend(self, name: str) -> None:
        try:
            await self._fire_due(name)
        except NotFound:
            self._next.pop(name, None)  # it was removed
        except StateDirError as problem:
            self._tell(name, f"{problem.message}; retrying in {_AGAIN_S:g} s")
            self._look_again()
        except ProvctlError as problem:
            self._next.pop(name, None)
            self._tell(name, f"{problem.message}; the schedule is not active")
        except Exception as bug:  # noqa: BLE001 # others continue
            self._tell(name, f"{bug!r}, which is a bug in provctl")
        else:
            self._told.pop(name, None)
        finally:
            del self._busy[name]
        if name in self._again:
            self._again.discard(name)
            self.check(name)
        self._set_alarm()

    async def _fire_due(self, name: str) -> None:
        while True:
            # Read it again each time, because it may have been paused or removed
            # meanwhile.
            schedule = self._runner_deps.schedules.read(name)
            past = await self._record_due(schedule)
            if schedule.paused_at is not None or not past.waiting:
                return
            following = await self._fire_first(schedule, past)
            if following is None:
                return
            if self._runner_deps.schedules.read(name).made == schedule.made:
                self._runner_deps.schedules.note(name, following)

    async def _record_due(self, schedule: Schedule) -> ScheduleState:
        """Record the times that are due, and compute the next one."""
        from provctl.schedules import cron

        runner_deps = self._runner_deps
        before = runner_deps.schedules.past(schedule)
        self._next.pop(schedule.name, None)
        if schedule.paused_at is not None:
            return before
        now = runner_deps.clock.now()
        past = adjust_to_clock(schedule, before, now)
        if past.until < before.until:
            self._log(
                schedule, "the clock was set back: continuing from the current time"
            )
        when = (schedule.cron, schedule.zone)
        missed = partial(cron.latest, after=past.until, now=now, most=MOST + 1)
        times = await _in_thread(missed, *when)
        past = record_due_times(schedule, past, times, now)
        if past != before:
            runner_deps.schedules.note(schedule.name, past)
        if past.missed > before.missed:
            self._log(schedule, f"{past.missed - before.missed} times missed")
        following = next(cron.times_after(*when, max(now, past.until)), None)
        if following is not None:
            self._next[schedule.name] = following
        return past

    async def _fire_first(
        self, schedule: Schedule, past: ScheduleState
    ) -> Optional[ScheduleState]:
        """Fire the first pending time; None if it has to wait longer."""
        runner_deps, at = self._runner_deps, past.waiting[0]
        known = runner_deps.firing.has_run(schedule, at)
        if (
            not known
            and schedule.overlap != "allow"
            and await self._is_under_way(schedule, past)
        ):
            if schedule.overlap == "queue":
                return None
            self._log(schedule, f"skipped: run {past.run} has not finished")
            return after_skip(past)
        try:
            run = await self._in_pool(runner_deps.firing.fire, schedule, at)
        except StateDirError:
            raise
        except ProvctlError as problem:
            trouble = _first_line(problem)
            self._log(schedule, f"could not be submitted: {trouble}")
            return after_failure(past, trouble)
        self._log(schedule, f"run {run}")
        await runner_deps.take()
        return after_fire(past, run)

    async def _is_under_way(self, schedule: Schedule, past: ScheduleState) -> bool:
        """Whether a run of the schedule is active, whoever owns it."""
        runner_deps = self._runner_deps
        try:
            return runner_deps.goes_on(schedule.name) or await _in_thread(
                runner_deps.firing.is_running, past.run
            )
        except ProvctlError:
            return False  # a damaged run would block it forever

    # -- time --------------------------------------------------------------------------

    def _ring(self) -> None:
        now = self._runner_deps.clock.now()
        due = [name for name, at in self._next.items() if at <= now]
        if not due:
            self.reload()  # the clock was set, so the next time may have changed
            return
        for name in due:
            del self._next[name]  # until it is computed again
            self.check(name)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is None and self._next:
            self._alarm = WallClockTimer(self._ring)
        if self._alarm is not None:
            self._alarm.set(min(self._next.values(), default=None))

    def _look_again(self) -> None:
        if self._retry is None:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(_AGAIN_S, self._looks_again)

    def _looks_again(self) -> None:
        self._retry = None
        self.reload()

    async def _in_pool(
        self, fire: Callable[[Schedule, float], str], schedule: Schedule, at: float
    ) -> str:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, fire, schedule, at)

    # -- messages ----------------------------------------------------------------------

    def _log(self, schedule: Schedule, words: str) -> None:
        self._runner_deps.log(f"schedule {schedule.name}: {words}")

    def _tell(self, name: str, words: str) -> None:
        """Log a problem once, until it changes."""
        if self._told.get(name) != words:
            self._told[name] = words
            self._runner_deps.log(f"schedule {name}: {words}" if name else words)


async def _in_thread(act: Callable[..., Any], *args: Any) -> Any:
    """Run short work that is too slow for the loop; evaluations do not delay it."""
    return await asyncio.get_running_loop().run_in_executor(None, act, *args)


def _first_line(problem: ProvctlError) -> str:
    """Return an error on one line; of several in a file the first and its location."""
    if isinstance(problem, InvalidWorkflow) and problem.mistakes:
        first, more = problem.mistakes[0], len(problem.mistakes) - 1
        place = f"{first.file}:{first.line}" if first.line else first.file
        rest = f" (and {more} more errors)" if more else ""
        return f"{place}: {first.message.splitlines()[0]}{rest}"
    return problem.message.splitlines()[0]
