"""Watches runs in lines: changes, and in a CI job also the logs of tasks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Sequence,
    TextIO,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.cli.session import print_message
from provctl.cli.watching.heartbeat import Heartbeat
from provctl.cli.watching.task_log import TaskLogStream
from provctl.core.engine.events import (
    AttemptAdopted,
    AttemptDiscarded,
    AttemptFinished,
    AttemptStarted,
    ProbeDue,
    ProgressReported,
    TaskHeld,
)
from provctl.core.engine.view import task_view, view
from provctl.core.model.status import NEEDS_ATTENTION
from provctl.render.plain_view import PlainView
from provctl.render.text import (
    FAILED_TASKS_SHOWN,
)
from provctl.runs.log_tail import head_and_tail

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.engine.view import RunView
    from provctl.render.ci_dialects import CiLogFormat
    from provctl.storage.layout import StateDir


_ROWS = 200
_FAILED_LOG_LINES = 1000
_FAILED_LOG_BYTES = 1 << 18
_NEVER_S = 86_400.0
_BEGUN = (AttemptStarted, AttemptAdopted)
_OVER = (AttemptFinished, AttemptDiscarded, TaskHeld, ProbeDue)


@light_dataclass
class LineViewOptions:
    """Settings of the line view: program name, logs or not, and heartbeat.

    `heartbeat_s` is the longest time without output, 0 for no limit; `stamp` gives the
    time of day; `program` is the prefix of commands in hints.
    """

    dialect: CiLogFormat
    groups: bool
    heartbeat_s: float
    now: Callable[[], float]
    stamp: Callable[[float], str]
    program: str = "provctl"


class LineRunView:
    """Shows runs in lines; see `open_view.RunObserver`."""

    def __init__(
        self, folder: StateDir, stream: TextIO, manner: LineViewOptions
    ) -> None:
        # Logs are read as often as a picture is drawn; without logs only heartbeats
        # are due.
        self.tick_s = 0.125 if manner.groups else manner.heartbeat_s / 4 or _NEVER_S
        self._folder = folder
        self._manner = manner
        self._log = TaskLogStream(stream, manner.dialect, manner.now)
        self._plain = PlainView(
            self._log.lines,
            now=manner.now,
            stamp=manner.stamp,
            program=manner.program,
        )
        self._views: Dict[str, RunView] = {}
        self._heartbeat = Heartbeat(folder, manner.heartbeat_s, manner.stamp)

    def on_update(self, run: RunState, events: Sequence[Event]) -> None:
        """Show what changed. With groups, reading the logs waits for the next tick."""
        picture = self._view_of(run)
        changed: Dict[str, List[Any]] = {}
        for event in events:
            if hasattr(event, "task") and not isinstance(event, ProgressReported):
                changed.setdefault(event.task, []).append(event)
        if not self._manner.groups or not changed:
            self._plain.changed(picture, [task_view(run.tasks[t]) for t in changed])
        else:
            for task_id, own in changed.items():
                failed = [key for event in own for key in self._on_event(run, event)]
                self._plain.changed(picture, [task_view(run.tasks[task_id])])
                for key in failed:
                    self._log.repeat_end(key)
        if not self._manner.groups:
            self._log.settle()

    def _view_of(self, run: RunState) -> RunView:
        """Return a view of a run without tasks; a new one when its status changes."""
        shown = self._views.get(run.submitted.run)
        if shown is None or shown.status != run.status:
            shown = self._views[run.submitted.run] = view(run, rows=0)
        return shown

    def _on_event(self, run: RunState, event: Any) -> List[Any]:
        """Pass attempts to the log; return those that failed."""
        if not isinstance(event, (*_BEGUN, *_OVER)):
            return []
        run_id, task = run.submitted.run, run.tasks[event.task]
        key = (run_id, event.task, event.attempt)
        # A task that finished while the run was orphaned started before this view.
        if isinstance(event, (*_BEGUN, AttemptFinished)):
            log = self._folder.run(run_id).log_of(task.task.index, event.attempt)
            # Secrets are redacted soon after they are written: before the attempt ends.
            streams = not task.task.secrets
            self._log.on_start(key, _title(task, event), log, streams=streams)
        if isinstance(event, _BEGUN):
            return []
        failed = getattr(event, "outcome", "") in NEEDS_ATTENTION
        self._log.on_end(key, failed=failed)
        return [key] if failed else []

    def on_tick(self, runs: Iterable[RunState]) -> None:
        """Show the logs of tasks; after a long silence, what is running."""
        self._log.pump()
        now = self._manner.now()
        for line in self._heartbeat.after(now - self._log.wrote_at, runs, now=now):
            self._log.print_note_now(line)

    def print_note(self, words: str) -> None:
        """Print a note about no particular run to stderr."""
        print_message(words)

    def close(self, runs: Iterable[RunState]) -> None:
        """Show how all runs finished, with the logs of failed tasks."""
        with suppress(OSError):
            self._log.pump()
            self._log.settle()
            self._plain.close([self._picture(run) for run in runs])
            self._log.settle()

    def __enter__(self) -> LineRunView:
        return self

    def __exit__(self, *error: Any) -> None:
        with suppress(OSError):
            self._log.settle()

    def _picture(self, run: RunState) -> RunView:
        """The view of a run, with the logs of failed tasks."""
        picture = view(run, rows=_ROWS)
        troubled = [task.id for task in picture.tasks if task.needs_attention]
        shown = troubled[:FAILED_TASKS_SHOWN]
        tasks = [
            replace(task, log_tail=self._log_of(run, run.tasks[task.id]))
            if task.id in shown
            else task
            for task in picture.tasks
        ]
        return replace(picture, tasks=tuple(tasks))

    def _log_of(self, run: RunState, task: TaskState) -> Tuple[str, ...]:
        if not task.attempt:
            return ()
        folder = self._folder.run(run.submitted.run)
        log = folder.log_of(task.task.index, task.attempt)
        return tuple(head_and_tail(log, _FAILED_LOG_LINES, _FAILED_LOG_BYTES))


def _title(task: TaskState, event: Any) -> str:
    """The title of a group: task, purpose if not "run", and attempt."""
    purpose = getattr(event, "purpose", task.purpose)
    parts: List[str] = [] if purpose == "run" else [purpose]
    if event.attempt > 1:
        parts.append(f"attempt {event.attempt}")
    return f"{task.task.id} ({', '.join(parts)})" if parts else task.task.id
