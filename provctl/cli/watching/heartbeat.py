"""The line after a long silence: what is running, since when, and until when.

CI systems end jobs without output. A user at a terminal sees that the command waits.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable, Iterable, List

from provctl.cli.session import print_message
from provctl.core.analysis.statistics import expected_end
from provctl.core.engine.view import view
from provctl.core.model.workflow import SubWorkflow
from provctl.render.text import (
    counts_of,
    duration,
    elapsed,
    format_counts,
    humanize,
    sanitize,
)
from provctl.runs.history.estimates import DurationEstimator

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.engine.state import RunState, TaskState
    from provctl.storage.layout import StateDir


_STILL_RUNNING = 5  # tasks that are named


class Heartbeat:
    """Lists running tasks after `every_s` seconds without output; 0 for never.

    `stamp` gives the time of day.
    """

    def __init__(
        self, folder: StateDir, every_s: float, stamp: Callable[[float], str]
    ) -> None:
        self._every_s = every_s
        self._stamp = stamp
        self._estimator = DurationEstimator(folder)

    def after(
        self, silent_s: float, runs: Iterable[RunState], *, now: float
    ) -> List[str]:
        """Return the lines that are due about unfinished runs.

        Call it often, because it reads history in small steps (see
        `DurationEstimator`). `now` is in seconds since the epoch.
        """
        if not 0 < self._every_s / 4 <= silent_s:
            return []
        going = [run for run in runs if run.outcome is None]
        self._estimator.load_history(going)
        if silent_s < self._every_s:
            return []
        return [self._still(run, now) for run in going]

    def _still(self, run: RunState, now: float) -> str:
        running = [
            run.tasks[name]
            for name in run.active
            if run.tasks[name].status == "running"
            and not isinstance(run.tasks[name].task.action, SubWorkflow)
        ]
        named = [self._since(run, task, now) for task in running[:_STILL_RUNNING]]
        if len(running) > _STILL_RUNNING:
            named.append(f"and {len(running) - _STILL_RUNNING} more")
        text = f"still running: {'; '.join(named)}"
        if not named:
            text = f"is {humanize(run.status)}: {format_counts(counts_of(view(run, rows=0)))}"
        return f"{self._stamp(now)} run {sanitize(run.submitted.run)} {text}"

    def _since(self, run: RunState, task: TaskState, now: float) -> str:
        text = f"{sanitize(task.task.id)} for {elapsed(task.started_at, None, now)}"
        if task.started_at is None or task.purpose != "run":
            return text
        pace = self._estimator.stats(run, task.task.id)
        end = expected_end(pace, task.started_at, now, task.percent)
        if end is not None and end > now:
            text += f", about {duration(int(end - now))} left"
        return text


class HeartbeatTicker:
    """A wait that shows nothing about runs; it prints heartbeats to stderr.

    At a terminal it prints none.
    """

    def __init__(self, session: Session) -> None:
        from provctl.base.timefmt import time_of_day
        from provctl.render.plain_view import choose_view
        from provctl.scheduler.clock import Clock

        seen = choose_view(sys.stderr, session.environ) == "live"
        every_s = 0 if seen else session.loaded.settings.ui.heartbeat_seconds
        self._now = Clock().now
        self._heartbeat = Heartbeat(session.folder, every_s, time_of_day)
        self._spoke_at = self._now()

    def on_tick(self, runs: Iterable[RunState]) -> None:
        """Print what is running, if it is time for that."""
        now = self._now()
        lines = self._heartbeat.after(now - self._spoke_at, runs, now=now)
        for line in lines:
            print_message(line)
        if lines:
            self._spoke_at = now
