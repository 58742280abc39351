"""Reads parts of a log of any size: its last lines, their error, or both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, List, Tuple

from provctl.base.safe_open import reader
from provctl.nushell.error_summary import error_summary
from provctl.nushell.progress_lines import is_progress
from provctl.nushell.source_file import with_origins

if TYPE_CHECKING:
    from pathlib import Path


_LINE = 160  # bytes that are read per line
_LOOKED_AT = 40  # lines that are searched for a few informative ones


def last_lines(log: Path, most: int) -> List[str]:
    """Return at most `most` last lines of a log; none if it cannot be read.

    If lines are very long it returns fewer, because it reads a limited amount. Lines
    may contain any characters.
    """
    size = most * _LINE
    try:
        with reader(log) as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - size))
            text = with_origins(file.read()).decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.splitlines()
    if end > size and len(lines) > 1:
        del lines[:1]  # starts in the middle of a line
    return lines[-most:]


def error_tail(log: Path, most: int) -> List[str]:
    """Return at most `lines` of the last lines of a log that explain a failure.

    Progress lines are skipped, and error boxes of Nushell are reduced to their text.
    Empty if the log cannot be read.
    """
    lines = last_lines(log, max(most, _LOOKED_AT))
    return error_summary([line for line in lines if not is_progress(line)])[-most:]


def head_and_tail(log: Path, lines: int, size: int) -> List[str]:
    """Return at most `lines` lines and `size` bytes of a log; none if it is unreadable.

    A longer log is shortened to its beginning (a quarter) and its end. A line between
    them shows how much is omitted, and where the whole log is.
    """
    try:
        with reader(log) as file:
            first, last, gap = _both_ends(file, size)
    except OSError:
        return []
    head, tail = _decode_lines(first), _decode_lines(last)
    if gap or len(head) + len(tail) > lines:
        shown = head if gap else [*head, *tail]
        tail = (tail if gap else shown)[-(lines - lines // 4) :]
        head = shown[: lines // 4]
        head.append(f"... see {log} for the lines omitted here")
    return [*head, *tail]


def _both_ends(file: BinaryIO, size: int) -> Tuple[bytes, bytes, bool]:
    """Return beginning and end in whole lines, and whether anything is between them."""
    whole = file.seek(0, 2)
    file.seek(0)
    if whole <= size:
        return file.read(size), b"", False
    first = file.read(size // 4)
    file.seek(whole - (size - size // 4))
    last = file.read(size - size // 4)
    return first[: first.rfind(b"\n") + 1] or first, last.partition(b"\n")[2], True


def _decode_lines(text: bytes) -> List[str]:
    return with_origins(text).decode("utf-8", "replace").splitlines()
