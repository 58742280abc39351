"""Owns reading an attempt's log while it is written, also over what is cut out of it.

A log that reached its limit loses bytes from its middle, in place (see
`executors.attempt_log`), so that an offset alone does not say where a reader was.
The line that stands where they were says how many they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Iterator, Optional, Tuple

from provctl.executors.attempt_log import MARKER

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BLOCK", "LogReader"]

BLOCK = 1 << 16  # bytes read at once; a line without end is cut there
_TRACE = 64  # bytes by which the place in the file is recognised
_LOOKED_AT = 1 << 20  # bytes in which the marker is looked for at once
_MARKER = re.compile(re.escape(MARKER).replace(rb"%d", rb"([0-9]+)"))


class LogReader:
    """Follows one log; every call gives what is new, in memory that is bounded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0  # in the file
        self._dropped = 0  # bytes left out of what is before
        self._trace = b""

    def pieces(self, *, last: bool) -> Iterator[bytes]:
        """Whole new lines, in pieces of about `BLOCK`; `last`: what has no end too."""
        try:
            file = self._path.open("rb")
        except OSError:
            return
        with file:
            notice = self._find_place(file)
            if notice:
                yield notice
            while True:
                file.seek(self._at)
                data = file.read(BLOCK)
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

    def _find_place(self, file: BinaryIO) -> bytes:
        """Notice that the log was cut; go where we were, and say what is missed."""
        start = self._at - len(self._trace)
        file.seek(start)
        if file.read(len(self._trace)) == self._trace:
            return b""
        marker = _find_marker(file)
        if marker is None:
            if (
                file.seek(0, 2) < self._at
            ):  # truncated by somebody: what is there is new
                self._at, self._dropped = 0, 0
            self._trace = b""
            return b""
        begin, end, dropped = marker
        said = self._at + self._dropped
        if self._dropped:
            said -= end - begin
        tail = begin + dropped  # where what follows the marker stood
        missed = max(tail - max(said, begin), 0)
        self._at = min(end + max(said - tail, 0), file.seek(0, 2))
        self._dropped = dropped
        self._trace = b""
        return MARKER % missed if missed else b""


def _find_marker(file: BinaryIO) -> Optional[Tuple[int, int, int]]:
    """Where the marker begins and ends, and the number in it.

    The first half of a log comes before it: of several that look like it, which a
    task may print, it is the one next to the middle.
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
