"""Builds views of active runs: their state, and data that is expensive to get.

Expensive data is read only for visible rows: progress, ends of logs, resource usage of
processes, and remaining time from earlier runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Callable, Deque, Dict, Optional, Tuple

from provctl.core.analysis.statistics import expected_end, is_slow
from provctl.core.engine.view import RunView, TaskView, view, waits_of
from provctl.core.model.status import NEEDS_ATTENTION
from provctl.executors.protocol import AttemptRef
from provctl.runs.attempt_store import attempt_store
from provctl.runs.history.estimates import DurationEstimator
from provctl.runs.live.stage_counts import StageCounts
from provctl.runs.log_tail import error_tail
from provctl.runs.task_progress import TaskProgressReader

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.executors.protocol import ResourceMeter, ResourceUsage
    from provctl.storage.layout import StateDir


_TAIL_LINES = 10
_FEW = 8  # tasks, which fit on any screen
_USAGE_S = 2.0  # between two measurements of the processes of a task
_MARK_S = 5.0  # between two marks for the rate
_MARKS = 7  # marks that are kept


class _AttemptView:
    """The last measurement of a running attempt."""

    def __init__(self, attempt: int, started_at: float) -> None:
        self.attempt = attempt
        self.percent = 0.0
        self.expected_end: Optional[float] = None
        self.meter: Optional[ResourceMeter] = None
        self.usage: Optional[ResourceUsage] = None
        self.measured_at: Optional[float] = None
        self._marks: Deque[Tuple[float, float]] = deque(maxlen=_MARKS)
        self._marks.append((started_at, 0.0))

    def rate(self, now: float, done: Optional[float]) -> Optional[float]:
        """Return the recent progress per second; None if it is unknown."""
        if done is None:
            return None
        last_at, last = self._marks[-1]
        if done < last:  # the task started something new
            self._marks.clear()
        if done < last or now - last_at >= _MARK_S:
            self._marks.append((now, done))
        first_at, first = self._marks[0]
        if done <= first or now - first_at < 1:
            return None
        return (done - first) / (now - first_at)


class ViewBuilder:
    """Builds views of runs; `now` returns seconds since the epoch.

    With `retold`, runs are replayed from the journal, without logs and processes.
    """

    def __init__(
        self, folder: StateDir, now: Callable[[], float], *, retold: bool = False
    ) -> None:
        self._folder = folder
        self._now = now
        self._retold = retold
        # In a replay the logs are ahead of the replayed state.
        self._said = TaskProgressReader(folder, logs=not retold)
        self._estimator = DurationEstimator(folder)
        self._levels: Dict[str, StageCounts] = {}
        self._runs: Dict[str, RunState] = {}
        self._tries: Dict[str, Dict[str, _AttemptView]] = {}
        self._tails: Dict[Tuple[str, int, int], Tuple[str, ...]] = {}

    def final_view(self, run: RunState, rows: int) -> RunView:
        """Return the final state of a run; failed tasks have the end of their log."""
        return self._with_tails(run, view(run, rows=rows))

    def live_view(self, run: RunState, rows: int) -> RunView:
        """Return a view of a run with up to `rows` rows, as many as possible."""
        run_id, now = run.submitted.run, self._now()
        if self._runs.get(run_id) is not run:
            self._runs[run_id] = run
            self._tries[run_id] = {}
            self._levels.pop(run_id, None)
            if len(run.tasks) > _FEW:
                self._levels[run_id] = StageCounts(run)
        levels = self._levels.get(run_id)
        if levels is None:
            picture = view(run, rows=rows)
        else:
            levels.refresh(now)
            picture = view(run, rows=rows, next_up=levels.next_up)
            picture = replace(picture, stages=levels.counts)
        end = self._end_of(run, now) if run.status == "running" else None
        return replace(self._with_tails(run, picture), expected_end=end)

    def enrich_row(self, picture: RunView, task: TaskView) -> TaskView:
        """Return a row with all data that can be read for it."""
        run = self._runs[picture.id]
        state = run.tasks[task.id]
        if task.status == "running" and state.attempt and not task.is_group:
            return self._running(run, state, task)
        if task.status == "waiting" and task.purpose == "run":
            names, more = waits_of(run, state)
            return replace(task, waits_for=names, waits_more=more)
        return task

    def load_history(self) -> None:
        """Read a little more history of the workflows of active runs."""
        self._estimator.load_history(self._runs.values())

    def _running(self, run: RunState, state: TaskState, task: TaskView) -> TaskView:
        now = self._now()
        started_at = now if state.started_at is None else state.started_at
        seen = self._tries[run.submitted.run].get(task.id)
        if seen is None or seen.attempt != state.attempt:
            seen = _AttemptView(state.attempt, started_at)
            self._tries[run.submitted.run][task.id] = seen
        progress = self._said.newest(run, state)
        seen.percent = progress.percent or 0.0
        usage = self._usage_of(run, state, seen, now)
        row = replace(
            task,
            progress=progress,
            rate=seen.rate(
                now, progress.percent if progress.done is None else progress.done
            ),
            cpu_percent=usage.cpu_percent if usage else None,
            rss_bytes=usage.rss_bytes if usage else None,
        )
        if state.purpose != "run" or state.is_suspended:
            return row
        pace = self._estimator.stats(run, task.id)
        seen.expected_end = expected_end(pace, started_at, now, progress.percent)
        slow = is_slow(pace, now - started_at)
        return replace(row, expected_end=seen.expected_end, slow=slow)

    def _usage_of(
        self, run: RunState, task: TaskState, seen: _AttemptView, now: float
    ) -> Optional[ResourceUsage]:
        if self._retold:
            return None
        before = seen.measured_at
        if before is None or not 0 <= now - before < _USAGE_S:
            if seen.meter is None:
                seen.meter = attempt_store().open_meter(self._place_of(run, task))
            seen.measured_at = now
            seen.usage = seen.meter.read(now)
        return seen.usage

    def _end_of(self, run: RunState, now: float) -> Optional[float]:
        """Return when a run is expected to end: not before any task that is shown."""
        if run.started_at is None:
            return None
        tries = self._tries[run.submitted.run]
        for name in [n for n in tries if run.tasks[n].status != "running"]:
            del tries[name]
        parts = sum(each.percent for each in tries.values()) / 100
        done = len(run.tasks) - run.open_tasks + parts
        percent = min(100 * done / max(len(run.tasks), 1), 100.0)
        end = expected_end(self._estimator.stats(run), run.started_at, now, percent)
        ends = [each.expected_end for each in tries.values()]
        latest = max((each for each in ends if each is not None), default=None)
        if end is None or latest is None:
            return end
        return max(end, latest)

    def _place_of(self, run: RunState, task: TaskState) -> AttemptRef:
        folder = self._folder.run(run.submitted.run).attempts
        key = (run.submitted.run, task.task.id, task.attempt)
        return AttemptRef(*key, folder, task.task.index, task.purpose)

    def _with_tails(self, run: RunState, picture: RunView) -> RunView:
        rows = (
            replace(row, log_tail=self._tail_of(run, run.tasks[row.id]))
            if row.outcome in NEEDS_ATTENTION and row.attempt
            else row
            for row in picture.tasks
        )
        return replace(picture, tasks=tuple(rows))

    def _tail_of(self, run: RunState, task: TaskState) -> Tuple[str, ...]:
        key = (run.submitted.run, task.task.index, task.attempt)
        if key not in self._tails:
            log = self._folder.run(key[0]).log_of(*key[1:])
            self._tails[key] = tuple(error_tail(log, _TAIL_LINES))
        return self._tails[key]
