"""Terminals for tests: a console that is the same everywhere, and a small screen."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, List, Optional, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Screen", "console", "plain_text"]

_CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b[78]|\r|\n|[^\x1b\r\n]+")


def console(
    file: Optional[TextIO] = None, *, width: int = 80, height: int = 24
) -> Console:
    """Create a console whose output depends only on what is printed."""
    return Console(
        file=file if file is not None else io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
        highlight=False,
        _environ={},
    )


def plain_text(renderable: RenderableType, *, width: int = 80) -> str:
    """Draw once without colours, exactly as the terminal gets it."""
    out = io.StringIO()
    console(out, width=width, height=1000).print(renderable)
    return out.getvalue()


class Screen(io.StringIO):
    """A terminal that follows the control sequences of a live view.

    With a `width` it wraps longer lines, also earlier ones, as most terminals do; the
    cursor moves over rows, not lines. The cursor reaches only the last `height` rows,
    though `lines` also has those above. `answers` has its replies to questions about
    the cursor position.
    """

    def __init__(self, width: int = 10_000, height: int = 10_000) -> None:
        super().__init__()
        self.width = width
        self.height = height
        self.lines: List[str] = [""]
        self.line, self.column = 0, 0
        self._top = 0  # rows out of sight
        self._sized = (width, height)
        self._kept = (0, 0)
        self.cursor_shown = True
        self.writes = 0
        self.drawn = 0  # letters
        self.answers: List[str] = []

    @property
    def text(self) -> str:
        """The visible text, without empty lines below the cursor."""
        return "\n".join(line.rstrip() for line in self._lines_in_use())

    def _lines_in_use(self) -> List[str]:
        lines = self.lines[:]
        while len(lines) > self.line + 1 and not lines[-1]:
            del lines[-1]
        return lines

    def write(self, text: str) -> int:
        self.writes += bool(text)
        for match in _CONTROL.finditer(text):
            if match.group(2):
                self._obey(match.group(1), match.group(2))
            elif match.group() == "\x1b7":
                self._kept = (self.line, self.column)
            elif match.group() == "\x1b8":
                self.line, self.column = self._kept
            elif match.group() == "\n":
                self.line, self.column = self.line + 1, 0
                if self.line == len(self.lines):
                    self.lines.append("")
            elif match.group() == "\r":
                # Behind its last column the cursor is still in the same row.
                behind = self.column >= max(len(self.lines[self.line]), 1)
                self.column -= (self.column - behind) % self.width + behind
            else:
                self._draw(match.group())
        return len(text)

    def _draw(self, text: str) -> None:
        self.drawn += len(text)
        before = self.lines[self.line].ljust(self.column)
        self.column += len(text)
        after = before[self.column :]
        self.lines[self.line] = before[: self.column - len(text)] + text + after

    def _obey(self, argument: str, command: str) -> None:
        if command in "ABC":
            self._move(int(argument or "1"), command)
        elif (argument, command) == ("6", "n"):
            place = f"{self.rows_above + 1};{self.column % self.width + 1}"
            self.answers.append(f"\x1b[{place}R")
        elif command in "KJ" and not argument:
            if self.column and self.column % self.width == 0:
                self._end_line()
            self.lines[self.line] = self.lines[self.line][: self.column]
            if command == "J":
                del self.lines[self.line + 1 :]
        elif (argument, command) == ("2", "K"):
            self._erase_row()
        elif argument == "?25":
            self.cursor_shown = command == "h"
        else:
            raise AssertionError((argument, command))

    def _move(self, count: int, command: str) -> None:
        if command == "A":
            for _ in range(min(count, self.rows_above)):
                self._up()
        elif command == "B":
            for _ in range(count):
                self._down()
        else:
            in_row = self.column % self.width
            self.column += min(count, self.width - 1 - in_row)

    def _end_line(self) -> None:
        """A row that is erased from its beginning becomes a separate line."""
        line = self.lines[self.line]
        self.lines[self.line : self.line + 1] = [
            line[: self.column],
            line[self.column :],
        ]
        self.line, self.column = self.line + 1, 0

    def _erase_row(self) -> None:
        """An erased row becomes a separate line."""
        line, start = self.lines[self.line], self.column // self.width * self.width
        before, after = line[:start], line[start + self.width :]
        self.lines[self.line : self.line + 1] = [
            *([before] if start else []),
            "",
            *([after] if after else []),
        ]
        self.line, self.column = self.line + bool(start), self.column - start

    def _rows_of(self, line: str) -> int:
        return max(-(-len(line) // self.width), 1)

    @property
    def rows_above(self) -> int:
        """The number of visible rows above that of the cursor."""
        rows = list(map(self._rows_of, self._lines_in_use()))
        row = sum(rows[: self.line]) + self.column // self.width
        if self._sized != (self.width, self.height):
            # Empty ones below the cursor give way first.
            self._sized = (self.width, self.height)
            self._top = min(max(sum(rows) - self.height, 0), row)
        self._top = max(self._top, row - self.height + 1)
        return row - self._top

    def _down(self) -> None:
        if self.column + self.width < len(self.lines[self.line]):
            self.column += self.width
        elif self.line + 1 < len(self.lines):
            self.line, self.column = self.line + 1, self.column % self.width

    def _up(self) -> None:
        if self.column >= self.width:
            self.column -= self.width
        elif self.line > 0:
            self.line -= 1
            rows = self._rows_of(self.lines[self.line])
            self.column += (rows - 1) * self.width
