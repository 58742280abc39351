"""Owns the line after a long silence: what still runs, since when, and for how long yet.

CI systems end jobs that say nothing. Who waits at a terminal sees that it waits.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable, Iterable, List

from provctl.app.forecast import Forecast
from provctl.cli.context import tell_line
from provctl.core.model import Group
from provctl.core.pace import expected_end
from provctl.core.view import view
from provctl.ui.lines import counts_of, duration, elapsed, neutralise, tally, words

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import StateFolder

__all__ = ["Heartbeat", "SilentWait"]

_STILL_RUNNING = 5  # that are named


class Heartbeat:
    """Words about runs that go on, after `every_s` seconds of silence; 0 for never.

    `stamp` gives the time of day.
    """

    def __init__(
        self, folder: StateFolder, every_s: float, stamp: Callable[[float], str]
    ) -> None:
        self._every_s = every_s
        self._stamp = stamp
        self._forecast = Forecast(folder)

    def after(
        self, silent_s: float, runs: Iterable[RunState], *, now: float
    ) -> List[str]:
        """Return what is to be said by now of those that have not ended.

        To be asked often, for it learns a little at a time (see `Forecast`), and only
        when nobody had anything to say for a while. `now` is in seconds since the epoch.
        """
        if not 0 < self._every_s / 4 <= silent_s:
            return []
        going = [run for run in runs if run.outcome is None]
        self._forecast.learn(going)
        if silent_s < self._every_s:
            return []
        return [self._still(run, now) for run in going]

    def _still(self, run: RunState, now: float) -> str:
        running = [
            run.tasks[name]
            for name in run.active
            if run.tasks[name].status == "running"
            and not isinstance(run.tasks[name].task.action, Group)
        ]
        named = [self._since(run, task, now) for task in running[:_STILL_RUNNING]]
        if len(running) > _STILL_RUNNING:
            named.append(f"and {len(running) - _STILL_RUNNING} more")
        told = f"goes on: {'; '.join(named)}"
        if not named:
            told = f"is {words(run.status)}: {tally(counts_of(view(run, rows=0)))}"
        return f"{self._stamp(now)} run {neutralise(run.submitted.run)} {told}"

    def _since(self, run: RunState, task: TaskState, now: float) -> str:
        told = f"{neutralise(task.task.id)} for {elapsed(task.started_at, None, now)}"
        if task.started_at is None or task.purpose != "run":
            return told
        pace = self._forecast.pace(run, task.task.id)
        end = expected_end(pace, task.started_at, now, task.percent)
        if end is not None and end > now:
            told += f", about {duration(int(end - now))} left"
        return told


class SilentWait:
    """A wait that shows nothing of runs; its heartbeat is on stderr.

    At a terminal it has none.
    """

    def __init__(self, session: Session) -> None:
        from provctl.cli.times import time_of_day
        from provctl.scheduler.clock import Clock
        from provctl.ui.plain import choose_view

        seen = choose_view(sys.stderr, session.environ) == "live"
        every_s = 0 if seen else session.loaded.settings.ui.heartbeat_seconds
        self._now = Clock().now
        self._heartbeat = Heartbeat(session.folder, every_s, time_of_day)
        self._spoke_at = self._now()

    def tick(self, runs: Iterable[RunState]) -> None:
        """Say what still runs, if it is time for that."""
        now = self._now()
        lines = self._heartbeat.after(now - self._spoke_at, runs, now=now)
        for line in lines:
            tell_line(line)
        if lines:
            self._spoke_at = now
