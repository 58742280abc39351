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
        below = "\r\n" if self._shown else ""
        self._shown = ()
        self._write(below + _SHOW)

    def paint(self, lines: Tuple[Line, ...], width: int, height: int) -> None:
        """Change what is painted into these lines, of at most `width` cells.

        The terminal has `width` cells and `height` lines now, whatever it had before.
        """
        begin = ""
        if self._shown and width != self._width:
            begin = self._rewind(width, height)
            self._shown = ()
        self._width = width
        self._render(lines)
        text = begin + self._changes(lines)
        self._shown = lines
        if text:
            self._write(text)

    def _rewind(self, width: int, height: int) -> str:
        """Go back to where the picture began, and erase it.

        When a terminal gets narrower, it breaks the lines that were there.
        """
        rows = sum(max(-(-_cells(line) // width), 1) for line in self._shown[:-1])
        return _up(min(rows, height - 1)) + "\r" + _REST_OF_SCREEN

    def _changes(self, lines: Sequence[Line]) -> str:
        old = self._shown
        at = max(len(old) - 1, 0)
        parts: List[str] = []
        for place, line in enumerate(lines):
            if place < len(old) and old[place] == line:
                continue
            parts += [_move(at, place), "\r", self._texts[line]]
            at = place
            # In the last column an erasure would take the last letter.
            if place < len(old) and _cells(line) < self._width:
                parts.append(_REST_OF_LINE)
        if len(old) > len(lines):
            parts += [_move(at, len(lines)), "\r", _REST_OF_SCREEN]
            at = len(lines)
        if parts:
            parts += [_move(at, max(len(lines) - 1, 0)), "\r"]
        return "".join(parts)

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
    """Go from one line to another; below the last one there is room made."""
    return "\n" * (to - start) if to >= start else _up(start - to)
