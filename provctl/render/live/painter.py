"""A picture that rich draws in place, also after the terminal was resized.

A terminal with another width wraps the lines of a picture into more rows, and hides
what has no room. rich counts lines, so it must be told the number of rows. How many of
them are hidden can only be estimated, because terminals treat empty rows below the
cursor differently; only the terminal itself knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

from rich.cells import chop_cells
from rich.console import ConsoleDimensions
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType

from provctl.render.live.frame import Frame

if TYPE_CHECKING:
    from rich.console import Console

    from provctl.render.live.frame import Line
    from provctl.render.live.terminal_input import Position


_DOWN = (ControlType.CURSOR_DOWN, 1)
_ERASE_AND_UP = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))


class Painter:
    """Paints below the text on the terminal. All methods raise OSError if it is gone.

    Between frames the cursor is at the beginning of the last line.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self) -> None:
        """Hide the cursor; the first frame is painted below the text that is there."""
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._size = (0, 0)
        self._shown: Tuple[Line, ...] = ()
        self._above: List[str] = []  # lines of old frames, hidden
        self._at_bottom = False
        self._console.show_cursor(False)

    def end(self) -> None:
        """Leave the picture on the screen, and show the cursor below it."""
        self._live.stop()
        self._console.show_cursor()

    def paint(
        self,
        lines: Tuple[Line, ...],
        width: int,
        height: int,
        *,
        position: Optional[Position] = None,
    ) -> None:
        """Replace the painted lines by these, of at most `width` cells.

        The terminal now has `width` cells and `height` lines, whatever it had before.
        After a change `position` is the cursor position it reported, None if it
        reported none.
        """
        resized = bool(self._shown) and (width, height) != self._size
        with self._console:  # all in one write
            if resized:
                self._erase_excess(width, height, position)
            if self._at_bottom:
                lines = ((),) * (height - len(lines)) + lines
            if resized or lines != self._shown:
                self._console.size = ConsoleDimensions(width, height)
                self._live.start()
                self._live.update(Frame(lines), refresh=True)
                self._console.control(Control(ControlType.CARRIAGE_RETURN))
        self._size, self._shown = (width, height), lines

    def _erase_excess(
        self, width: int, height: int, position: Optional[Position]
    ) -> None:
        """Erase rows from below until there are as many as rich counts.

        Hidden rows above cannot be erased until they are visible again. If rich then
        moves up too far, it stops at the first visible row.
        """
        lines = [*self._above, *("".join(text for text, _ in s) for s in self._shown)]
        broken_at = position.width if position else width
        broken = [chop_cells(line, broken_at) or [""] for line in lines]
        below = len(broken[-1]) - 1  # rows of the last line, below the cursor
        over = sum(map(len, broken[:-1]))
        if position:
            hidden = max(over - position.rows_above, 0)
        else:
            # The row of the cursor stays visible.
            hidden = min(max(over + 1 + below - height, 0), over)
        # Some terminals make room for wrapped lines only at the top, even with room
        # at the bottom. What they hide next must be empty rows, not the picture.
        self._at_bottom = position is not None and hidden > 0
        self._above = _first_rows(broken, hidden)
        excess = over - hidden + 1 + below - len(self._shown)
        self._console.control(Control(*[_DOWN] * below, *_ERASE_AND_UP * excess))


def _first_rows(broken: Sequence[Sequence[str]], most: int) -> List[str]:
    """The lines in the first rows of wrapped lines; the last line may be a part."""
    found = []
    for rows in broken:
        if most <= 0:
            break
        found.append("".join(rows[:most]))
        most -= len(rows)
    return found
