"""Owns terminals for tests: a console that is alike everywhere, and a small screen."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, List, Optional, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Screen", "console", "plain_text"]

_CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


def console(
    file: Optional[TextIO] = None, *, width: int = 80, height: int = 24
) -> Console:
    """Make a terminal whose output depends on nothing but what is printed."""
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
    """Draw once, without colours, exactly as the terminal would get it."""
    out = io.StringIO()
    console(out, width=width, height=1000).print(renderable)
    return out.getvalue()


class Screen(io.StringIO):
    """A terminal of endless height: obeys what a live picture says to it.

    Of a `width`, it breaks longer lines, also those that were there before, as
    most terminals do; the cursor moves over rows, not lines.
    """

    def __init__(self, width: int = 10_000) -> None:
        super().__init__()
        self.width = width
        self.lines: List[str] = [""]
        self.line, self.column = 0, 0
        self.cursor_shown = True
        self.writes = 0
        self.drawn = 0  # letters

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)

    def write(self, text: str) -> int:
        self.writes += bool(text)
        for match in _CONTROL.finditer(text):
            if match.group(2):
                self._obey(match.group(1), match.group(2))
            elif match.group() == "\n":
                self.line, self.column = self.line + 1, 0
                if self.line == len(self.lines):
                    self.lines.append("")
            elif match.group() == "\r":
                # Behind its last column the cursor is still in the same row.
                self.column -= (self.column - 1) % self.width + 1 if self.column else 0
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
        if command == "A":
            for _ in range(int(argument or "1")):
                self._up()
        elif command in "KJ" and not argument:
            self.lines[self.line] = self.lines[self.line][: self.column]
            if command == "J":
                del self.lines[self.line + 1 :]
        elif argument == "?25":
            self.cursor_shown = command == "h"
        else:
            raise AssertionError((argument, command))

    def _up(self) -> None:
        if self.column >= self.width:
            self.column -= self.width
        elif self.line > 0:
            self.line -= 1
            rows = max(-(-len(self.lines[self.line]) // self.width), 1)
            self.column += (rows - 1) * self.width
