"""The live view on a terminal: when it is drawn, and what remains at the end.

There is no thread: the caller's updates are the only clock. So nothing is drawn while
the caller works, and an idle caller costs nothing.
"""

from __future__ import annotations

import os
import termios
from functools import partial
from typing import (
    TYPE_CHECKING,
    Callable,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
)

from provctl.render.live.cursor_position import Location
from provctl.render.live.frame import Frame
from provctl.render.live.layout import no_enrichment, render_many
from provctl.render.live.painter import Painter
from provctl.render.live.terminal_input import Keys
from provctl.render.text import encodable, run_finished

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from provctl.core.engine.view import RunView
    from provctl.render.live.layout import Fill


_Result = TypeVar("_Result")


class LiveView:
    """Draws runs in place; a context manager that always shows the cursor again.

    Text typed meanwhile is neither shown nor left for the next program that reads.
    After a resize it draws once the terminal has reported its cursor position.

    `now` gives seconds since the epoch; `fill` is called for each visible row;
    `program` is the prefix of commands in hints. Once the terminal is gone, each update
    raises the OSError that reported it, because the watcher of a run may have to react.
    `close` and leaving the context never raise it.
    """

    def __init__(
        self,
        console: Console,
        *,
        now: Callable[[], float],
        frames_per_s: float = 4.0,
        fill: Fill = no_enrichment,
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
        self._keys = Keys(_fd_of(console))
        self._location = Location(self._keys, settle_s=self._interval_s)

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
        # A clock that was set back must not stop the view.
        return not 0 <= self._now() - self._drawn_at < self._interval_s

    def update(self, views: Sequence[RunView]) -> None:
        """Draw what has changed, if the last frame is old enough.

        An update that comes too early is dropped: the next one includes it.
        """
        if not self.due:
            return
        now, size = self._now(), self._size()
        self._location.see(size, now)
        if self._attempt(lambda: self._location.is_settled(now)) is False:
            return
        frame = self._render(views)
        if self._size() != size:  # resized meanwhile: the picture would be misplaced
            return
        self._drawn_at, self._drawn_size = now, size
        self._paint(frame)
        if self._gone is not None:
            raise self._gone

    def suspend(self) -> None:
        """Release the terminal; the picture stays on it."""
        if not self._ended:
            self._ended = True
            self._attempt(self._painter.end)
            self._attempt(self._keys.release)

    def resume(self) -> None:
        """Take the terminal; the next picture is drawn below its current text."""
        self._ended = False
        self._drawn_at = None
        self._location.forget()
        self._attempt(self._keys.hold)
        self._attempt(self._painter.begin)

    def close(self, final_views: Sequence[RunView]) -> None:
        """Leave the final picture on the screen, then print how each run finished."""
        if self._ended:  # it was suspended while another program had the terminal
            self.resume()
        self._location.see(self._size(), self._now())
        self._attempt(self._location.settle)
        self._paint(self._render(final_views))
        self.suspend()
        encoding = self._console.encoding
        lines = [
            line for view in final_views for line in run_finished(view, self._program)
        ]
        result = Frame(tuple(((encodable(line, encoding), ""),) for line in lines))
        self._attempt(lambda: self._console.print(result, soft_wrap=True))

    def _render(self, views: Sequence[RunView]) -> Frame:
        width, height = self._location.size
        return render_many(
            views,
            now=self._now(),
            width=width,
            height=height,
            ascii_only=not self._console.encoding.startswith("utf"),
            fill=self._fill,
        )

    def _paint(self, frame: Frame) -> None:
        size, position = self._location.size, self._location.position
        paint = partial(self._painter.paint, frame.lines, *size, position=position)
        self._attempt(paint)

    def _size(self) -> Tuple[int, int]:
        """The current size of the terminal; the environment may have an old one."""
        try:
            width, height = os.get_terminal_size(self._console.file.fileno())
        except (OSError, ValueError):  # no terminal
            width, height = self._console.size
        return width or 80, height or 24

    def _attempt(self, act: Callable[[], _Result]) -> Optional[_Result]:
        if self._gone is None:
            try:
                return act()
            except (OSError, termios.error) as problem:
                self._gone = OSError(*problem.args)
        return None


def _fd_of(console: Console) -> Optional[int]:
    try:
        return console.file.fileno()
    except (OSError, ValueError):  # no file
        return None
