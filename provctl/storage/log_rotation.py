"""Log rotation for the scheduler and its hooks: each log has one older file.

Several processes write to one log, a whole line at a time. The process that finds the
log too large renames it under a file lock. A process whose open file is no longer at
its path renames nothing.
"""

from __future__ import annotations

import fcntl
import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO, Tuple

from provctl.base.safe_open import open_own, reader

if TYPE_CHECKING:
    from pathlib import Path


LOG_MAX = 1 << 20  # bytes; the older file may have as many
_READ_MAX = 4 * LOG_MAX  # a file may be larger than it should be

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def older(path: Path) -> Path:
    """Return the path of the older file of a log."""
    return path.with_name(f"{path.name}.1")


def open_log(path: Path) -> int:
    """Return a descriptor that appends to a log. A large log is rotated first.

    Raises OSError.
    """
    fd = open_own(path, _FLAGS)
    if os.fstat(fd).st_size > LOG_MAX and _rotate(fd, path):
        os.close(fd)
        fd = open_own(path, _FLAGS)
    os.set_blocking(fd, True)  # programs expect this of their output
    return fd


def append(path: Path, text: str, *, streams: Tuple[int, ...] = ()) -> None:
    """Append to a log. If the disk cannot store the text, it is lost.

    `streams` are descriptors that refer to the log too. After a rotation they refer to
    the new log.
    """
    with suppress(OSError):
        fd = open_log(path)
        try:
            for stream in streams:
                if not os.path.sameopenfile(fd, stream):
                    os.dup2(fd, stream)
            # A path in the text may not be valid UTF-8.
            os.write(fd, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(fd)


def _rotate(fd: int, path: Path) -> bool:
    """Rename the open log to the older one. False on failure or if another does it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    try:
        if _is_at(fd, path):
            path.replace(older(path))
    except OSError:
        return False
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


class LogReader:
    """Reads a log: its older file, the log itself, and then what is added."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if there is no log."""
        self._path = path
        self._file = _open_end(path if path.exists() else older(path))

    def first(self) -> str:
        """Return the current content, at most some MiB of each file."""
        text = ""
        with suppress(OSError), _open_end(older(self._path)) as before:
            # The log may have become the older file a moment ago.
            if not os.path.sameopenfile(before.fileno(), self._file.fileno()):
                text = before.read()
        return text + self.more()

    def more(self) -> str:
        """Return what was added since the last call."""
        text = self._file.read()
        with suppress(OSError):
            if not _is_at(self._file.fileno(), self._path):
                following = _text(reader(self._path))
                # Text that was written before the log was renamed.
                text += self._file.read()
                self._file.close()
                self._file = following
                text += following.read()
        return text

    def close(self) -> None:
        """Close the log."""
        self._file.close()


def _open_end(path: Path) -> TextIO:
    """Open a log to read. If it is too large, only its last whole lines are read."""
    file = reader(path)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _READ_MAX))
    if size > _READ_MAX:
        file.readline()
    return _text(file)


def _text(file: BinaryIO) -> TextIO:
    return io.TextIOWrapper(file, encoding="utf-8", errors="replace")
