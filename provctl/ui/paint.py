"""Owns the lines of a picture on a terminal: only what changed is written anew.

One write a frame, and nothing is erased before it is drawn over, so nothing flickers.
Between frames the cursor stands at the beginning of the last line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple

from rich.cells import cell_len

from provctl.ui.frame import Frame

if TYPE_CHECKING:
    from rich.console import Console

    from provctl.ui.frame import Line

__all__ = ["Painter"]

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"


class Painter:
    """Paints below what the terminal shows. All raise OSError once that is gone."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: Tuple[Line, ...] = ()
        self._texts: Dict[Line, str] = {}
        self._width = 0

    def begin(self) -> None:
        """Hide the cursor."""
        self._write(_HIDE)

    def end(self) -> None:
        """Leave what is painted, and give the cursor back below it."""
        last = ""
        if self._shown:
            last = "\r" + self._text_of(self._shown[-1]) + _move(0, 1)
        self._shown = ()
        self._write(last + _SHOW)

    def paint(self, lines: Tuple[Line, ...], width: int, height: int) -> None:
        """Change what is painted into these lines, of at most `width` cells.

        The terminal has `width` cells and `height` lines now, whatever it had before.
        """
        begin = ""
        if self._shown and width != self._width:
            begin = self._rewind(width, height)
            self._shown = ()
        self._width = width
        if lines == self._shown and not begin:
            return
        self._render(lines)
        text = begin + self._changes(lines)
        self._shown = lines
        self._write("\r" + text)

    def _rewind(self, width: int, height: int) -> str:
        """Go back to where the picture began, and erase it.

        When a terminal gets narrower, it breaks the lines that were there. The first
        line is erased by itself: some terminals keep a copy of a screen that is
        erased from its very top.
        """
        rows = sum(max(-(-_cells(line) // width), 1) for line in self._shown[:-1])
        first = _up(min(rows, height - 1)) + "\r" + _REST_OF_LINE
        return first + _move(0, 1) + _REST_OF_SCREEN + _move(1, 0)

    def _changes(self, lines: Sequence[Line]) -> str:
        """What to write, from the beginning of the last line to that of the new one.

        That line is always written: at the cursor the terminal echoes what is typed.
        """
        old = self._shown
        at = max(len(old) - 1, 0)
        parts: List[str] = []
        for place, line in enumerate(lines):
            is_last = place == len(lines) - 1
            if place < len(old) and old[place] == line and not is_last:
                continue
            parts += [_move(at, place), self._text_of(line), "\r"]
            at = place
        if len(old) > len(lines):
            parts += [_move(at, len(lines)), _REST_OF_SCREEN]
            parts.append(_move(len(lines), max(len(lines) - 1, 0)))
        return "".join(parts)

    def _text_of(self, line: Line) -> str:
        """A line that replaces another."""
        # In the last column an erasure would take the last letter.
        rest = _REST_OF_LINE if _cells(line) < self._width else ""
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


def _cells(line: Line) -> int:
    return sum(cell_len(text) for text, _ in line)


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows > 0 else ""


def _move(start: int, to: int) -> str:
    """Go from the beginning of a line to that of another; below the last is room made."""
    return "\r\n" * (to - start) if to >= start else _up(start - to)
