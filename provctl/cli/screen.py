"""Owns the picture of runs at work: state, progress lines and log ends, drawn by `ui`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterable,
    Mapping,
    Protocol,
    Sequence,
    TextIO,
    Tuple,
)

from provctl.app.log_end import last_lines
from provctl.app.said import Said
from provctl.core.events import ProgressReported
from provctl.core.state import FAILURES
from provctl.core.view import RunView, TaskView, task_view, view
from provctl.scheduler.clock import Clock
from provctl.ui.plain import PlainView, ResultView, choose_view

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.core.events import Event
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import StateFolder

__all__ = ["Screen", "Watching", "open_replay", "open_screen"]

_TAIL_LINES = 10
_FINAL_ROWS = 200


class Watching(Protocol):
    """Who shows runs. An OSError of `tell` or `tick`: nobody sees it any more.

    `tick_s` is how often it wants to be ticked.
    """

    tick_s: float

    def tell(self, run: RunState, events: Sequence[Event]) -> None:
        """Show what changed."""

    def tick(self, runs: Iterable[RunState]) -> None:
        """Show what changes by itself while time passes."""

    def close(self, runs: Iterable[RunState]) -> None:
        """Show how everything ended; no error if that is not possible."""

    def __enter__(self) -> Watching: ...
    def __exit__(self, *error: Any) -> None: ...


class Screen:
    """Shows runs. `tell` it of events, `tick` it while time passes, then `close`."""

    tick_s = 0.125

    def __init__(
        self, folder: StateFolder, drawing: Any, *, live: bool, logs: bool = True
    ) -> None:
        self.live = live
        # Of what is retold the logs are further than the story.
        self._said = Said(folder, logs=logs)
        self._folder = folder
        self._view = drawing

    def tell(self, run: RunState, events: Sequence[Event]) -> None:
        """Show what changed, when the view is made of lines."""
        if self.live:
            return
        changed = dict.fromkeys(
            event.task
            for event in events
            if hasattr(event, "task") and not isinstance(event, ProgressReported)
        )
        rows = [task_view(run.tasks[task_id]) for task_id in changed]
        self._view.changed(view(run, rows=0), rows)

    def tick(self, runs: Iterable[RunState]) -> None:
        """Draw, when the view is a picture and it is time for the next one."""
        if self.live and self._view.due:
            self._view.update([self._picture(run) for run in runs])

    def close(self, runs: Iterable[RunState]) -> None:
        """Show how everything ended."""
        self._view.close([self._picture(run, rows=_FINAL_ROWS) for run in runs])

    def __enter__(self) -> Screen:
        self._view.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._view.__exit__(*error)

    def _picture(self, run: RunState, rows: int = 60) -> RunView:
        picture = view(run, rows=rows)
        tasks = [self._filled(run, task) for task in picture.tasks]
        return replace(picture, tasks=tuple(tasks))

    def _filled(self, run: RunState, task: TaskView) -> TaskView:
        state = run.tasks[task.id]
        if task.status == "running" and state.attempt:
            return replace(task, progress=self._said.newest(run, state))
        if task.outcome in (*FAILURES, "undo_failed") and state.attempt:
            return replace(task, log_tail=self._tail_of(run, state))
        return task

    def _tail_of(self, run: RunState, task: TaskState) -> Tuple[str, ...]:
        return tuple(last_lines(self._log_of(run, task), _TAIL_LINES))

    def _log_of(self, run: RunState, task: TaskState) -> Any:
        return self._folder.run(run.submitted.run).log_of(task.task.index, task.attempt)


def open_screen(session: Session) -> Watching:
    """Return the screen that was asked for, or else fits the terminal or the CI job.

    On stderr if stdout is for data; with `quiet` only how everything ended.
    """
    stream: TextIO = sys.stdout if session.output == "table" else sys.stderr
    now = Clock().now
    if session.quiet:
        return Screen(session.folder, ResultView(stream, now=now), live=False)
    shown = session.shown or choose_view(stream, session.environ)
    if shown == "live":
        from rich.console import Console

        from provctl.ui.live import LiveView

        live = LiveView(Console(file=stream), now=now)
        return Screen(session.folder, live, live=True)
    from provctl.cli.line_screen import LineScreen, Manner
    from provctl.ui.dialects import dialect_of

    manner = Manner(
        dialect=dialect_of(session.environ),
        groups=shown == "group",
        heartbeat_s=session.loaded.settings.ui.heartbeat_seconds,
        now=now,
        stamp=_stamp,
    )
    return LineScreen(session.folder, stream, manner)


def open_replay(
    folder: StateFolder,
    environ: Mapping[str, str],
    now: Callable[[], float],
    speed: float,
) -> Screen:
    """Return a screen whose time is `now`, `speed` times as fast as ours."""
    if choose_view(sys.stdout, environ) != "live":
        plain = PlainView(sys.stdout, now=now, stamp=_stamp)
        return Screen(folder, plain, live=False, logs=False)
    from rich.console import Console

    from provctl.ui.live import LiveView

    view = LiveView(Console(file=sys.stdout), now=now, frames_per_s=8 / speed)
    return Screen(folder, view, live=True, logs=False)


def _stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S}"  # noqa: DTZ006  # for people here
