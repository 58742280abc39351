"""Reads the log of an attempt on its node, from an offset on, for the owner.

A log that has reached its limit loses bytes from its middle, in place. Then the bytes
before the offset differ, and the whole log is sent again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional, Tuple
from zlib import crc32

from provctl.base.safe_open import open_own

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef

BLOCK = 1 << 16
_TRACE = 64  # bytes by which the offset is recognised
_SUMMED = 1 << 20


class LogSource:
    """Reads one log; `at` is the number of bytes already sent."""

    def __init__(self, place: AttemptRef, at: int = 0) -> None:
        self._path = place.file("log")
        self.at = at
        self._trace: Optional[bytes] = None  # None: bytes were sent by an earlier agent
        self.size = 0  # at the last read

    def read(self) -> Optional[Tuple[int, bytes]]:
        """Return the new bytes, at most a block, and their offset; None if none.

        The offset is 0 again when the log was cut.
        """
        try:
            self.size = os.lstat(self._path).st_size
        except OSError:
            return None
        if self.size == self.at:
            return None
        try:
            fd = open_own(self._path)
        except OSError:
            return None
        try:
            if not self._is_here(fd):
                self.restart()
            at = self.at
            data = os.pread(fd, BLOCK, at)
        finally:
            os.close(fd)
        self.at += len(data)
        self._trace = ((self._trace or b"") + data)[-_TRACE:]
        return (at, data) if data else None

    @property
    def is_behind(self) -> bool:
        """Whether there are bytes to send."""
        try:
            return os.lstat(self._path).st_size != self.at
        except OSError:
            return False

    def _is_here(self, fd: int) -> bool:
        if self.size < self.at:
            return False
        if self._trace is None:
            return True
        return os.pread(fd, len(self._trace), self.at - len(self._trace)) == self._trace

    def restart(self) -> None:
        """Send the whole log again."""
        self.at = 0
        self._trace = b""

    def sum(self) -> Optional[int]:
        """Return the checksum of the whole log, None if there is none.

        Call it after the end of the attempt, when the log no longer changes.
        """
        total = 0
        try:
            fd = open_own(self._path)
        except OSError:
            return None
        try:
            self.size = 0
            while True:
                data = os.pread(fd, _SUMMED, self.size)
                if not data:
                    return total
                total = crc32(data, total)
                self.size += len(data)
        finally:
            os.close(fd)
