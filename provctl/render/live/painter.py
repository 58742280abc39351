"""The lines of a picture on a terminal: only what changed is written anew.

One write a frame, and nothing is erased before it is drawn over, so nothing flickers.
Between frames the cursor stands at the beginning of the last line.

A terminal of another width breaks its lines anew, and moves what has no room out of
sight. How many rows that are can only be guessed, as terminals differ in what they do
with empty rows below; the terminal itself knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from rich.cells import cell_len, chop_cells

from provctl.render.live.frame import Frame

if TYPE_CHECKING:
    from rich.console import Console

    from provctl.render.live.frame import Line
    from provctl.render.live.terminal_input import Position


_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_CUT, _BREAK = "\x1b[?7l", "\x1b[?7h"  # lines that are too long
_KEEP, _BACK = "\x1b7", "\x1b8"  # the place of the cursor
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"


class DiffPainter:
    """Paints below what the terminal shows. All raise OSError once that is gone."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: Tuple[Line, ...] = ()
        self._above: List[str] = []  # lines of old pictures, out of sight
        self._texts: Dict[Line, str] = {}
        self._size = (0, 0)
        self._at_bottom = False

    def begin(self) -> None:
        """Hide the cursor."""
        self._write(_HIDE)

    def end(self) -> None:
        """Leave what is painted, and give the cursor back below it."""
        last = ""
        if self._shown:
            last = "\r" + self._text_of(self._shown[-1]) + "\r\n"
        self._shown = ()
        self._above = []
        self._at_bottom = False
        self._write(last + _SHOW)

    def paint(
        self,
        lines: Tuple[Line, ...],
        width: int,
        height: int,
        *,
        position: Optional[Position] = None,
    ) -> None:
        """Change what is painted into these lines, of at most `width` cells.

        The terminal has `width` cells and `height` lines now, whatever it had before.
        If it changed, `position` is what it says of its cursor; None: it says nothing.
        """
        begin = ""
        if (self._shown or self._above) and (width, height) != self._size:
            begin = self._erase(width, height, position)
            self._shown = ()
        self._size = (width, height)
        if self._at_bottom:
            lines = ((),) * (height - len(lines)) + lines
        if lines == self._shown and not begin:
            return
        self._render(lines)
        text = begin + self._changes(lines)
        self._shown = lines
        self._write(_CUT + "\r" + text + _BREAK)

    def _erase(self, width: int, height: int, position: Optional[Position]) -> str:
        """Go back to where the picture began, and erase it.

        When a terminal gets narrower, it breaks the lines that were there, and what has
        no room then, or in fewer lines, goes out of sight above: that cannot be erased
        until there is more room, when it comes back. The first line is erased by
        itself: some terminals keep a copy of a screen that is erased from its very top.
        """
        lines = [*self._above, *map(_letters, self._shown or ((),))]
        broken_at = position.width if position else width
        broken = [chop_cells(line, broken_at) or [""] for line in lines]
        over = sum(map(len, broken[:-1]))
        if position:
            hidden = max(over - position.rows_above, 0)
        else:
            # The row of the cursor, the first of the last line, stays in sight.
            hidden = min(max(over + len(broken[-1]) - height, 0), over)
        # Some give no room to what is broken but at the top, though there is some at
        # the bottom. What they hide next is to be empty rows, and not the picture.
        self._at_bottom = position is not None and hidden > 0
        self._above = _first_rows(broken, hidden)
        first = _up(over - hidden) + _REST_OF_LINE
        return first + "\r\n" + _REST_OF_SCREEN + _up(1)

    def _changes(self, lines: Sequence[Line]) -> str:
        """What to write, from the beginning of the last line to that of the new one.

        That line is always written: at the cursor the terminal echoes what is typed.
        """
        old = self._shown
        last, new_last = max(len(old) - 1, 0), max(len(lines) - 1, 0)
        parts: List[str] = [_KEEP]
        for place, line in enumerate(lines[:last]):
            if old[place] != line and place != new_last:
                parts += [_up(last - place), self._text_of(line), _BACK]
        if len(lines) < len(old):
            parts += [_up(last - len(lines)), _REST_OF_SCREEN, _up(min(len(lines), 1))]
        rest = map(self._text_of, lines[min(last, new_last) :])
        return "".join(parts) + "\r\n".join(rest) + "\r"

    def _text_of(self, line: Line) -> str:
        """A line that replaces another."""
        # In the last column an erasure would take the last letter.
        rest = _REST_OF_LINE if cell_len(_letters(line)) < self._size[0] else ""
        return self._texts[line] + rest

    def _render(self, lines: Sequence[Line]) -> None:
        """Have the letters and colours of all lines; those of the last picture are kept."""
        known = self._texts
        new = [line for line in dict.fromkeys(lines) if line not in known]
        if new:
            with self._console.capture() as capture:
                self._console.print(Frame(tuple(new)), soft_wrap=True, end="")
            known.update(zip(new, capture.get().split("\n")))
        self._texts = {line: known[line] for line in lines}

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


def _letters(line: Line) -> str:
    return "".join(text for text, _ in line)


def _first_rows(broken: Sequence[Sequence[str]], most: int) -> List[str]:
    """The lines in the first rows of lines that are broken; the last may be a part."""
    found = []
    for rows in broken:
        if most <= 0:
            break
        found.append("".join(rows[:most]))
        most -= len(rows)
    return found


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows > 0 else ""
