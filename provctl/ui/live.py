"""Owns the picture on a terminal: when it is drawn, and how it is left behind.

No thread: the caller's updates are the only clock, so nothing draws while the
caller is at work, and an idle caller costs nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Optional, Sequence, Tuple, Type

from provctl.ui.frame import Frame
from provctl.ui.lines import encodable, run_finished
from provctl.ui.paint import Painter
from provctl.ui.render import as_it_is, render_many

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from provctl.core.view import RunView
    from provctl.ui.render import Fill

__all__ = ["LiveView"]


class LiveView:
    """Draws runs in place; a context manager that always gives the cursor back.

    `now` gives seconds since the epoch; `fill` is asked for each row that is shown;
    `program` is what commands that are named begin with.
    Once the terminal is gone each update raises the OSError that told so, for who
    watches a run may have to do something about it; `close` never does, nor does
    leaving.
    """

    def __init__(
        self,
        console: Console,
        *,
        now: Callable[[], float],
        frames_per_s: float = 4.0,
        fill: Fill = as_it_is,
        program: str = "provctl",
    ) -> None:
        self._console = console
        self._now = now
        self._interval_s = 1 / frames_per_s
        self._fill = fill
        self._program = program
        self._drawn_at: Optional[float] = None
        self._drawn_size: Optional[Tuple[int, int]] = None
        self._gone: Optional[OSError] = None
        self._ended = True
        self._painter = Painter(console)

    def __enter__(self) -> LiveView:
        self.resume()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.suspend()

    @property
    def height(self) -> int:
        """How many lines the terminal has."""
        return self._size()[1]

    @property
    def due(self) -> bool:
        """Whether the next update would draw; if not, views need not be made."""
        if self._drawn_at is None or self._size() != self._drawn_size:
            return True
        # A clock that was set back must not stop the picture.
        return not 0 <= self._now() - self._drawn_at < self._interval_s

    def update(self, views: Sequence[RunView]) -> None:
        """Draw what looks different now, if the last frame is old enough.

        What comes too early is dropped: the caller's next tick brings it.
        """
        if not self.due:
            return
        self._drawn_at = self._now()
        self._drawn_size = self._size()
        self._draw(views, self._drawn_size)
        if self._gone is not None:
            raise self._gone

    def suspend(self) -> None:
        """Give the terminal back; what is on it stays."""
        if not self._ended:
            self._ended = True
            self._attempt(self._painter.end)

    def resume(self) -> None:
        """Take the terminal; the next picture is drawn below what is on it."""
        self._ended = False
        self._drawn_at = None
        self._attempt(self._painter.begin)

    def close(self, final_views: Sequence[RunView]) -> None:
        """Leave the final picture on the screen, then tell how each run ended."""
        if self._ended:  # it was given up while another had the terminal
            self.resume()
        self._draw(final_views, self._size())
        self.suspend()
        encoding = self._console.encoding
        told = [
            line for view in final_views for line in run_finished(view, self._program)
        ]
        account = Frame(tuple(((encodable(line, encoding), ""),) for line in told))
        self._attempt(lambda: self._console.print(account, soft_wrap=True))

    def _draw(self, views: Sequence[RunView], size: Tuple[int, int]) -> None:
        frame = render_many(
            views,
            now=self._now(),
            width=size[0],
            height=size[1],
            ascii_only=not self._console.encoding.startswith("utf"),
            fill=self._fill,
        )
        self._attempt(lambda: self._painter.paint(frame.lines, *size))

    def _size(self) -> Tuple[int, int]:
        """The size of the terminal now: the environment may tell one of long ago."""
        try:
            width, height = os.get_terminal_size(self._console.file.fileno())
        except (OSError, ValueError):  # no terminal at all
            width, height = self._console.size
        return width or 80, height or 24

    def _attempt(self, draw: Callable[[], None]) -> None:
        if self._gone is not None:
            return
        try:
            draw()
        except OSError as problem:
            self._gone = problem
