"""Hostile texts and values for tests: text that becomes code if it is not quoted.

Each text that can run something creates a canary: a file that must never exist.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Hostile"]

# `@` stands for the canary.
_PARTS = (
    "'; ^touch @; '",
    '"; ^touch @; "',
    "; ^touch @ #",
    "$(touch @)",
    "`touch @`",
    "(^touch @)",
    '$"(^touch @)"',
    "| ^touch @",
    "&& touch @",
    "\n^touch @\n",
    "\r\ntouch @\r\n",
    "'#; ^touch @; r#'",
    "{|| ^touch @}",
    "...[(^touch @)]",
    "%{std.string.length (touch @)}",
    '" & { x = import "@" }',
    "{{ touch @ }}",
    "--help",
    "--flag=x",
    "-h",
    "--",
    "null",
    "true",
    "1kb",
    "2sec",
    "NaN",
    "2020-01-01",
    "0x[ff]",
    "$env",
    "$in",
    "$args",
    "~",
    "*",
    "..",
    "../../x",
    "/etc/passwd",
    "%2e%2e%2f",
    "%s%n",
    "$PATH",
    "\\",
    "\\u{41}",
    "\x1b[31m",
    "\x1b]52;c;eA==\x07",
    "\x7f\x85\u2028\ufeff\ufffe",
    "e\u0301",
    "\U0001f469\u200d\U0001f467",
    "\u202e",
    "",
    " ",
    "\t",
    "#",
    "x" * 300,
)


class Hostile:
    """A source of hostile texts, the same for the same seed."""

    def __init__(self, seed: int, canary: Path) -> None:
        self._dice = random.Random(seed)
        self._canary = str(canary)

    def text(self) -> str:
        """A text without NUL."""
        dice = self._dice
        if dice.random() < 0.3:
            picked = [self._character() for _ in range(dice.randrange(12))]
        else:
            picked = dice.choices(_PARTS, k=dice.choice((1, 1, 2, 3)))
        return "".join(picked).replace("@", self._canary)

    def texts(self, number: int) -> List[str]:
        """Return so many texts."""
        return [self.text() for _ in range(number)]

    def value(self, depth: int = 0) -> Any:
        """Any JSON value that can be given to a task."""
        dice = self._dice
        kind = dice.random()
        if kind < 0.75:
            return self.text() + ("\0" if kind < 0.02 else "")
        if kind < 0.9 or depth == 3:
            number = dice.randrange(-(2**63), 2**63)
            return dice.choice((None, True, False, 0, number, dice.gauss(0, 1e9), 1e-7))
        inner = [self.value(depth + 1) for _ in range(dice.randrange(4))]
        if kind < 0.95:
            return inner
        # A dollar at the beginning is for special records; they have their own test.
        return {self.text().lstrip("$"): value for value in inner}

    def values(self, number: int) -> List[Any]:
        """Return so many values."""
        return [self.value() for _ in range(number)]

    def _character(self) -> str:
        while True:
            code = self._dice.choice((0x80, 0x800, 0x10000, 0x110000))
            character = chr(self._dice.randrange(1, code))
            if not 0xD800 <= ord(character) < 0xE000:
                return character
