"""Owns the end of a log: its last lines, of however much there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["last_lines"]

_LINE = 160  # bytes that are read for each line


def last_lines(log: Path, most: int) -> List[str]:
    """Return at most so many lines of a log; none if it cannot be read.

    Of very long lines fewer, for what is read is bounded; they may hold anything.
    """
    size = most * _LINE
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - size))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.splitlines()
    if end > size and len(lines) > 1:
        del lines[:1]  # begins in the middle
    return lines[-most:]
