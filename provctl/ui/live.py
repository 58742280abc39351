"""Owns the picture on a terminal: when it is drawn, and how it is left behind.

No thread: the caller's updates are the only clock, so nothing draws while the
caller is at work, and an idle caller costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, Sequence, Tuple, Type

from rich.live import Live

from provctl.ui.frame import Frame
from provctl.ui.lines import encodable, run_finished
from provctl.ui.render import render_many

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from provctl.core.view import RunView

__all__ = ["LiveView"]

# The last picture is not drawn over again, so it may be taller than the terminal.
_FINAL_HEIGHT = 200


class LiveView:
    """Draws runs in place; a context manager that always gives the cursor back.

    `now` gives seconds since the epoch. Once the terminal is gone each update
    raises the OSError that told so, for who watches a run may have to do something
    about it; `close` never does, nor does leaving.
    """

    def __init__(
        self,
        console: Console,
        *,
        now: Callable[[], float],
        frames_per_s: float = 8.0,
    ) -> None:
        self._console = console
        self._now = now
        self._interval_s = 1 / frames_per_s
        self._drawn_at: Optional[float] = None
        self._drawn: Optional[Tuple[Frame, int]] = None
        self._gone: Optional[OSError] = None
        # Standard streams are left alone: stdout is data, and the caller's.
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        self._attempt(self._live.start)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._attempt(self._live.stop)

    @property
    def due(self) -> bool:
        """Whether the next update would draw; if not, views need not be made."""
        if self._drawn_at is None:
            return True
        # A clock that was set back must not stop the picture.
        return not 0 <= self._now() - self._drawn_at < self._interval_s

    def update(self, views: Sequence[RunView]) -> None:
        """Draw the runs if they look different now and the last frame is old enough.

        What comes too early is dropped: the caller's next tick brings it.
        """
        if not self.due:
            return
        self._drawn_at = self._now()
        frame = self._frame(views, self._console.height)
        drawn = (frame, self._console.width)
        if drawn != self._drawn:
            self._drawn = drawn
            self._attempt(lambda: self._live.update(frame, refresh=True))
        if self._gone is not None:
            raise self._gone

    def close(self, final_views: Sequence[RunView]) -> None:
        """Leave the whole final picture on the screen, then tell how each run ended."""
        self._live.update(self._frame(final_views, _FINAL_HEIGHT))
        self._attempt(self._live.stop)
        encoding = self._console.encoding
        told = [line for view in final_views for line in run_finished(view)]
        account = Frame(tuple(((encodable(line, encoding), ""),) for line in told))
        self._attempt(lambda: self._console.print(account, soft_wrap=True))

    def _frame(self, views: Sequence[RunView], height: int) -> Frame:
        return render_many(
            views,
            now=self._now(),
            width=self._console.width,
            height=height,
            ascii_only=not self._console.encoding.startswith("utf"),
        )

    def _attempt(self, draw: Callable[[], None]) -> None:
        if self._gone is not None:
            return
        try:
            draw()
        except OSError as problem:
            self._gone = problem
