"""Text: files are decoded as UTF-8, and foreign text is made safe to show.

All printed text passes `visible` (see `base.stdio`); text that must stay on one line
passes `plain` before that.
"""

from __future__ import annotations

import codecs
import re

_OTHERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


class NotText(ValueError):
    """Bytes that are not UTF-8; its message follows the name of a file."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def decode(content: bytes) -> str:
    """Return the text without its byte-order mark. Raises NotText."""
    # Text in two-byte encodings has zero bytes at once.
    if content.startswith(_OTHERS) or b"\0" in content[:4]:
        message = "is not UTF-8 text but UTF-16 or UTF-32: save it as UTF-8"
        raise NotText(message, 1)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 text: invalid byte in line {line}"
        raise NotText(message, line) from error


# What a terminal interprets, or shows in another order than written: control codes,
# bidirectional controls, line separators. And halves of characters, which are no text.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return a text with all control characters escaped, such as \\x1b and \\u202e.

    Line ends and tabs stay.
    """
    return _STEERING.sub(lambda found: _escape(found.group()), text)


def plain(text: str) -> str:
    """Return a text as one line, with all invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
