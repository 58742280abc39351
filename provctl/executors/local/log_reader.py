"""Reads the log of an attempt while it is written, across omitted parts.

A log that reached its limit loses bytes from its middle, in place (see
`executors.local.log_writer`), so an offset alone does not identify a position. A marker
line in place of the bytes gives their number.
"""

from __future__ import annotations

import re
import time
from io import FileIO
from typing import TYPE_CHECKING, Iterator, Optional, Tuple

from provctl.base.safe_open import open_own
from provctl.executors.local.log_writer import MARKER, UNFINISHED

if TYPE_CHECKING:
    from pathlib import Path


BLOCK = 1 << 16  # bytes per read; a line without an end is split there
_TRACE = 64  # bytes by which the position in the file is recognised
_LOOKED_AT = 1 << 20  # bytes that are searched for the marker at once
_MARKER = re.compile(re.escape(MARKER).replace(rb"%d", rb"([0-9]+)"))
_UNFINISHED = re.compile(re.escape(UNFINISHED).replace(rb"%d", rb"[0-9]+"))
_TRIES = 50  # a shim that was killed during a cut leaves the log unfinished
_TRY_AGAIN_S = 0.002


class LogReader:
    """Follows one log; each call returns what is new, in bounded memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0  # position in the file
        self._dropped = 0  # bytes omitted before that position
        self._trace = b""

    def pieces(self, *, last: bool) -> Iterator[bytes]:
        """Yield whole new lines in pieces of about `BLOCK`; `last`: also the rest."""
        try:
            file = FileIO(open_own(self._path))
        except OSError:
            return
        with file:
            while True:
                notice, data = self._next(file)
                if notice:
                    yield notice
                whole = len(data)
                if not last or whole == BLOCK:
                    whole = data.rfind(b"\n") + 1
                    if not whole and len(data) == BLOCK:
                        whole = BLOCK
                if not whole:
                    return
                self._at += whole
                self._trace = (self._trace + data[:whole])[-_TRACE:]
                passed = _MARKER.search(data, 0, whole)
                if passed:
                    self._dropped = int(passed[1])
                yield data[:whole]

    def _next(self, file: FileIO) -> Tuple[bytes, bytes]:
        """Find the position again, and read from there; return a notice and a block.

        A cut rewrites the log from its beginning to its end. So if the bytes before the
        position are the same after the read, the cut did not reach the block.
        """
        notice = self._find_place(file)
        for _ in range(_TRIES):
            file.seek(self._at)
            data = file.read(BLOCK)
            if self._is_here(file):
                break
            notice = self._find_place(file) or notice
        return notice, data

    def _is_here(self, file: FileIO) -> bool:
        file.seek(self._at - len(self._trace))
        return file.read(len(self._trace)) == self._trace

    def _find_place(self, file: FileIO) -> bytes:
        """Find the position again after a cut; return a notice of the bytes missed."""
        if self._is_here(file):
            return b""
        missed = self._move(file)
        start = max(self._at - _TRACE, 0)
        file.seek(start)
        self._trace = file.read(self._at - start)
        return MARKER % missed if missed else b""

    def _move(self, file: FileIO) -> int:
        """Move to the position after a cut; return how many unread bytes are gone."""
        for _ in range(_TRIES):
            marker = _find_marker(file)
            if marker is not None or not _is_unfinished(file):
                break
            time.sleep(_TRY_AGAIN_S)
        size = file.seek(0, 2)
        if marker is None:
            if size < self._at:  # truncated by another process: everything in it is new
                self._at = self._dropped = 0
            return 0
        begin, end, dropped = marker
        position = self._at + self._dropped
        if self._dropped:
            position -= len(MARKER % self._dropped)
        tail = begin + dropped  # where the bytes after the marker used to be
        self._at = min(end + max(position - tail, 0), size)
        self._dropped = dropped
        return max(tail - max(position, begin), 0)


def _find_marker(file: FileIO) -> Optional[Tuple[int, int, int]]:
    """Return where the marker begins and ends, and its number.

    The first half of a log precedes the marker. So of several lines that look like it,
    which a task may print, the marker is the one closest to the middle.
    """
    size = file.seek(0, 2)
    best: Optional[Tuple[int, int, int]] = None
    at = 0
    while at < size:
        file.seek(at)
        for match in _MARKER.finditer(file.read(_LOOKED_AT + 128)):
            begin, end = at + match.start(), at + match.end()
            if best is None or abs(size - 2 * begin) < abs(size - 2 * best[0]):
                best = begin, end, int(match[1])
        at += _LOOKED_AT
    return best


def _is_unfinished(file: FileIO) -> bool:
    """Whether the log is being cut at this moment."""
    at, size = 0, file.seek(0, 2)
    while at < size:
        file.seek(at)
        if _UNFINISHED.search(file.read(_LOOKED_AT + 128)):
            return True
        at += _LOOKED_AT
    return False
