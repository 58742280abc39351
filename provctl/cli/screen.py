"""Owns the choice of a view of runs at work, and what it is told of them."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ContextManager,
    Iterable,
    List,
    Mapping,
    Sequence,
    TextIO,
)

import click

from provctl.cli.job import Job
from provctl.core.events import ProgressReported
from provctl.core.view import RunView, task_view, view
from provctl.scheduler.clock import Clock
from provctl.ui.plain import PlainView, choose_view

if TYPE_CHECKING:
    from provctl.app.pictures import Pictures
    from provctl.core.events import Event
    from provctl.core.state import RunState
    from provctl.journal.folder import StateFolder

__all__ = ["Screen", "open_replay", "open_screen"]

_FINAL_ROWS = 200


class Screen:
    """Shows runs. `tell` it of events, `tick` it while time passes, then `close`.

    A view that is a picture is drawn at ticks, of `pictures`; any other is told what
    changed, and ticks only if it wants them.
    """

    def __init__(self, drawing: Any, pictures: Pictures, *, live: bool) -> None:
        self.live = live
        self._view = drawing
        self._pictures = pictures
        self._job = Job(drawing) if live else None

    @property
    def wants_ticks(self) -> bool:
        """Whether `tick` is of any use."""
        return bool(self._view.wants_ticks)

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
        """Let the view do what is due: draw, when it is a picture."""
        if not self._view.wants_ticks or not self._view.due:
            return
        with self._undisturbed():
            self._view.update(self._pictured(runs, rows=0))
        if self.live:
            self._pictures.learn()

    def say(self, words: str) -> None:
        """Say something that is not of a run on stderr, above the next picture."""
        with self._undisturbed():
            if self.live:
                self._view.suspend()
            click.echo(words, err=True)
            if self.live:
                self._view.resume()

    def close(self, runs: Iterable[RunState]) -> None:
        """Show how everything ended."""
        with self._undisturbed():
            self._view.close(self._pictured(runs, rows=_FINAL_ROWS))

    def _undisturbed(self) -> ContextManager[None]:
        return nullcontext() if self._job is None else self._job.drawing()

    def _pictured(self, runs: Iterable[RunState], rows: int) -> List[RunView]:
        if not self.live:
            return [self._pictures.account(run, rows) for run in runs]
        return [self._pictures.of(run, self._view.height) for run in runs]

    def __enter__(self) -> Screen:
        self._view.__enter__()
        if self._job is not None:
            self._job.heed_signals()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._undisturbed():
            self._view.__exit__(*error)


def open_screen(
    folder: StateFolder, environ: Mapping[str, str], *, talk: bool
) -> Screen:
    """Return the screen that fits the terminal; on stderr if stdout is for data."""
    from provctl.app.pictures import Pictures

    stream: TextIO = sys.stderr if talk else sys.stdout
    now = Clock().now
    pictures = Pictures(folder, now)
    if choose_view(stream, environ) == "plain":
        plain = PlainView(stream, now=now, stamp=_stamp)
        return Screen(plain, pictures, live=False)
    return _live(stream, pictures, now, frames_per_s=_FRAMES_PER_S)


def open_replay(
    folder: StateFolder,
    environ: Mapping[str, str],
    now: Callable[[], float],
    speed: float,
) -> Screen:
    """Return a screen whose time is `now`, `speed` times as fast as ours."""
    from provctl.app.pictures import Pictures

    pictures = Pictures(folder, now, retold=True)
    if choose_view(sys.stdout, environ) == "plain":
        plain = PlainView(sys.stdout, now=now, stamp=_stamp)
        return Screen(plain, pictures, live=False)
    return _live(sys.stdout, pictures, now, frames_per_s=_FRAMES_PER_S / speed)


_FRAMES_PER_S = 4.0


def _live(
    stream: TextIO,
    pictures: Pictures,
    now: Callable[[], float],
    *,
    frames_per_s: float,
) -> Screen:
    from rich.console import Console

    from provctl.ui.live import LiveView

    drawing = LiveView(
        Console(file=stream), now=now, frames_per_s=frames_per_s, fill=pictures.fill
    )
    return Screen(drawing, pictures, live=True)


def _stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S}"  # noqa: DTZ006  # for people here
