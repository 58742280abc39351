"""The width of text on a terminal in cells; most characters take one."""

from __future__ import annotations

import os
from typing import List, Optional, TextIO


def width_of(text: str) -> int:
    """Return the number of terminal columns of `text`."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text
    )


def truncate_to_width(text: str, width: int, mark: str = "…") -> str:
    """Return `text`, or as much of its beginning as fits, followed by a mark."""
    if width_of(text) <= width:
        return text
    room = max(width - len(mark), 0)
    while width_of(text) > room:
        text = text[: min(len(text) - 1, room)]
    return text.rstrip() + mark


def shortened(text: str, width: int) -> str:
    """Return `text`, or its beginning and its end with a mark between them."""
    if width_of(text) <= width:
        return text
    tail = text[-max(width // 3, 1) :]
    return truncate_to_width(text, width - width_of(tail)) + tail


def wrap(text: str, width: int) -> List[str]:
    """Return `text` as lines of at most so many columns, wrapped at spaces."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width_of(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for char in word:
            if lines[-1] and width_of(lines[-1] + char) > width:
                lines.append("")
            lines[-1] += char
    return lines


def terminal_width(stream: TextIO) -> Optional[int]:
    """Return the width of the terminal of a stream, None if it is no terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
