"""The mirror of a node's evidence in the run's folder: exact exit records, and logs.

A mirrored record is durable before anything depends on it, as a record on its node is.
So a reader of a run needs no node.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING
from zlib import crc32

from provctl.base.safe_open import open_own, read_own, reader

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef

_BLOCK = 1 << 20


class LogMirror:
    """The mirrored part of the log of one attempt."""

    def __init__(self, place: AttemptRef) -> None:
        self._place = place
        self._crc = 0
        self._summed = 0  # number of first bytes that `_crc` covers
        self.size = _size_of(place)

    def write(self, at: int, data: bytes) -> None:
        """Write bytes at their offset. Raises OSError."""
        fd = open_own(self._place.file("log"), os.O_WRONLY | os.O_CREAT)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], at + written)
        finally:
            os.close(fd)
        if at < self._summed:  # the checksum is no longer valid
            self._crc = self._summed = 0
        if at == self._summed:
            self._crc = crc32(data, self._crc)
            self._summed += len(data)
        self.size = max(self.size, at + len(data))

    def cut(self, size: int) -> None:
        """Truncate the log to its size on the node. Raises OSError."""
        if self.size <= size:
            return
        fd = open_own(self._place.file("log"), os.O_WRONLY | os.O_CREAT)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)
        self.size = size
        if size < self._summed:
            self._crc = self._summed = 0

    def is_as(self, size: int, crc: int) -> bool:
        """Whether the log equals the one on the node. Raises OSError."""
        if self.size != size:
            return False
        if self._summed != size:
            self._sum_up()
        return self._crc == crc

    def _sum_up(self) -> None:
        self._crc = self._summed = 0
        with suppress(FileNotFoundError), reader(self._place.file("log")) as file:
            while True:
                data = file.read(_BLOCK)
                if not data:
                    return
                self._crc = crc32(data, self._crc)
                self._summed += len(data)


def _size_of(place: AttemptRef) -> int:
    try:
        return os.lstat(place.file("log")).st_size
    except OSError:
        return 0


def store_record(place: AttemptRef, raw: bytes) -> None:
    """Store an exit record; durable after a sync of its folder. Raises OSError."""
    draft = place.file("new")
    fd = open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        written = 0
        while written < len(raw):
            written += os.write(fd, raw[written:])
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(place.file("go"))


def read_checkpoint(place: AttemptRef, most: int) -> str:
    """Return the checkpoint that a task keeps between its attempts, "" if none."""
    try:
        data = read_own(place.checkpoint)
    except OSError:
        return ""
    return "" if len(data) > most else data.decode("latin-1")


def store_checkpoint(place: AttemptRef, text: str) -> None:
    """Store the checkpoint on this machine. Raises OSError."""
    draft = place.checkpoint.with_suffix(".new")
    fd = open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, text.encode("latin-1"))
    finally:
        os.close(fd)
    draft.replace(place.checkpoint)
