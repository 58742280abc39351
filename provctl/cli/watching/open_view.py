"""Chooses a view of active runs and passes events to it."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ContextManager,
    Iterable,
    List,
    Optional,
    Protocol,
    Sequence,
    TextIO,
)

from provctl.base.stdio import Output, raw_output, text_stream
from provctl.base.timefmt import time_of_day
from provctl.cli.session import print_message
from provctl.cli.watching.job_control import JobControl
from provctl.core.engine.events import ProgressReported
from provctl.core.engine.view import RunView, task_view, view
from provctl.render.plain_view import PlainView, ResultView, choose_view
from provctl.scheduler.clock import Clock

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.engine.events import Event
    from provctl.core.engine.state import RunState
    from provctl.runs.live.view_builder import ViewBuilder


_FINAL_ROWS = 200
_TICK_S = 0.125
_NEVER_S = 86_400.0


class RunObserver(Protocol):
    """Shows runs. An OSError of its methods means that the terminal is gone.

    `tick_s` is the interval between ticks in seconds.
    """

    tick_s: float

    def on_update(self, run: RunState, events: Sequence[Event]) -> None:
        """Show what changed."""

    def on_tick(self, runs: Iterable[RunState]) -> None:
        """Show what changes with time."""

    def print_note(self, words: str) -> None:
        """Print a note about no particular run to stderr."""

    def close(self, runs: Iterable[RunState]) -> None:
        """Show how all runs finished; no error if that is not possible."""

    def __enter__(self) -> RunObserver: ...
    def __exit__(self, *error: Any) -> None: ...


class LiveRunView:
    """Shows runs by a view; see `RunObserver`.

    A live view on a `terminal` is drawn from `pictures` at each tick; other views print
    changes.
    """

    def __init__(
        self, drawing: Any, pictures: ViewBuilder, terminal: Optional[TextIO] = None
    ) -> None:
        self.live = terminal is not None
        self.tick_s = _TICK_S if terminal else _NEVER_S
        self._view = drawing
        self._pictures = pictures
        self._job = JobControl(drawing, terminal.fileno()) if terminal else None

    def on_update(self, run: RunState, events: Sequence[Event]) -> None:
        """Show what changed, if the view consists of lines."""
        if self.live:
            return
        changed = dict.fromkeys(
            event.task
            for event in events
            if hasattr(event, "task") and not isinstance(event, ProgressReported)
        )
        rows = [task_view(run.tasks[task_id]) for task_id in changed]
        self._view.changed(view(run, rows=0), rows)

    def on_tick(self, runs: Iterable[RunState]) -> None:
        """Draw, if the view is a picture and the next one is due."""
        if not self._is_here() or not self._view.due:
            return
        with self._hold_drawing():
            self._view.update(self._views(runs, rows=0))
        self._pictures.load_history()

    def _is_here(self) -> bool:
        """Whether there is a picture, and the terminal is ours."""
        return self._job is not None and not self._job.in_background()

    def print_note(self, words: str) -> None:
        """Print a note about no particular run to stderr, above the next picture."""
        here = self._is_here()
        with self._hold_drawing():
            if here:
                self._view.suspend()
            print_message(words)
            if here:
                self._view.resume()

    def close(self, runs: Iterable[RunState]) -> None:
        """Show how all runs finished."""
        if self._job is not None:
            self._job.handle_signals()  # again: the loop of an owner has removed them
        with self._hold_drawing():
            self._view.close(self._views(runs, rows=_FINAL_ROWS))

    def _hold_drawing(self) -> ContextManager[None]:
        return nullcontext() if self._job is None else self._job.drawing()

    def _views(self, runs: Iterable[RunState], rows: int) -> List[RunView]:
        if not self.live:
            return [self._pictures.final_view(run, rows) for run in runs]
        return [self._pictures.live_view(run, self._view.height) for run in runs]

    def __enter__(self) -> LiveRunView:
        if self._job is not None:
            self._job.handle_signals()  # before it changes the terminal
        self._view.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._hold_drawing():
            self._view.__exit__(*error)


def open_screen(session: Session) -> RunObserver:
    """Return the requested screen, or the one for this terminal or CI job.

    On stderr if stdout is for data; with `quiet` only how all runs finished.
    """
    from provctl.runs.live.view_builder import ViewBuilder

    folder = session.folder
    stream: TextIO = sys.stdout
    if session.output != "table":
        # The stream itself: a foreground run releases it when it fails.
        stream = sys.stderr if session.quiet else text_stream(Output(2), sys.stderr)
    now, program = Clock().now, session.called.program
    if session.quiet:
        result = ResultView(stream, now=now, stamp=time_of_day, program=program)
        return LiveRunView(result, ViewBuilder(folder, now))
    shown = session.shown or choose_view(stream, session.environ)
    if shown == "live":
        pictures = ViewBuilder(folder, now)
        return _live(stream, pictures, now, program=program)
    from provctl.cli.watching.line_view import LineRunView, LineViewOptions
    from provctl.render.ci_dialects import detect_ci_log_format

    manner = LineViewOptions(
        dialect=detect_ci_log_format(session.environ),
        groups=shown == "group",
        heartbeat_s=session.loaded.settings.ui.heartbeat_seconds,
        now=now,
        stamp=time_of_day,
        program=program,
    )
    return LineRunView(folder, stream, manner)


def open_replay(
    session: Session, now: Callable[[], float], speed: float
) -> LiveRunView:
    """Return a screen with the clock `now`, `speed` times as fast as real time."""
    from provctl.runs.live.view_builder import ViewBuilder

    program = session.called.program
    pictures = ViewBuilder(session.folder, now, retold=True)
    if choose_view(sys.stdout, session.environ) != "live":
        plain = PlainView(sys.stdout, now=now, stamp=time_of_day, program=program)
        return LiveRunView(plain, pictures)
    return _live(sys.stdout, pictures, now, speed=speed, program=program)


_FRAMES_PER_S = 4.0


def _live(
    stream: TextIO,
    pictures: ViewBuilder,
    now: Callable[[], float],
    *,
    program: str,
    speed: float = 1.0,
) -> LiveRunView:
    from rich.console import Console

    from provctl.render.live.view import LiveView

    drawing = LiveView(
        # Foreign text in it was made harmless.
        Console(file=raw_output(stream), force_terminal=True, force_interactive=True),
        now=now,
        frames_per_s=_FRAMES_PER_S / speed,
        fill=pictures.enrich_row,
        program=program,
    )
    return LiveRunView(drawing, pictures, stream)
