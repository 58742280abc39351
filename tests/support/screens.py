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
    """A terminal of endless height: obeys what a live picture says to it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: List[str] = [""]
        self.row = 0
        self.cursor_shown = True
        self.writes = 0

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def write(self, text: str) -> int:
        self.writes += 1
        for match in _CONTROL.finditer(text):
            if match.group(2):
                self._obey(match.group(1), match.group(2))
            elif match.group() == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif match.group() != "\r":  # what follows a return is an erase
                self.lines[self.row] += match.group()
        return len(text)

    def _obey(self, argument: str, command: str) -> None:
        if command == "A":
            self.row -= int(argument or "1")
        elif command == "K":
            self.lines[self.row] = ""
        elif argument == "?25":
            self.cursor_shown = command == "h"
        else:
            raise AssertionError((argument, command))
