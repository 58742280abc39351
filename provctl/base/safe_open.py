"""Safe opening of files in the state directory: only regular files of this user.

A link can point anywhere, opening a FIFO would block forever, a file with another hard
link can be changed through it, and another user can change files that they own. None of
these is opened, nor is a file in a folder that is a link or belongs to another user.

Few imports: a fork copies them (see `executors.local.shim`).
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO, Tuple, Union

    AnyPath = Union[str, Path]


_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_AT_ONCE = 1 << 30  # bytes that one call reads on every system
_MORE = 1 << 13  # bytes by which a file may grow while it is read
_LINK = "it is a symbolic link, which is not allowed here"
_NO_FILE = "it is not a regular file"
_NO_FOLDER = "it is not a directory, or it is a symbolic link"
_OTHERS = "it belongs to another user"
# Error codes of the system for a name that is not a regular file.
_REFUSED = {errno.ELOOP: _LINK, errno.ENXIO: _NO_FILE, errno.EISDIR: _NO_FILE}


class ForeignFile(OSError):
    """The path is not a regular file or folder of this user only; it was not changed."""


def open_own(path: AnyPath, flags: int = os.O_RDONLY) -> int:
    """Open a file and return its descriptor; a new file is readable only by its owner.

    It is not inherited. O_NONBLOCK is set, which has no effect on regular files.
    O_TRUNC takes effect only after the file is known to be our own. Raises OSError,
    including ForeignFile.
    """
    return _open_checked(os.fspath(path), flags)[0]


def _open_checked(name: str, flags: int) -> Tuple[int, int]:
    """Return the descriptor, and the size of the file."""
    check_folder(os.path.dirname(name))
    try:
        fd = os.open(name, flags & ~os.O_TRUNC | _SAFE, 0o600)
    except OSError as problem:
        if problem.errno in _REFUSED:
            raise _foreign(name, _REFUSED[problem.errno]) from None
        raise
    try:
        info = os.fstat(fd)
        _check(info, fd, name)
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd, info.st_size


def reader(path: AnyPath) -> BinaryIO:
    """Open a file for reading. Raises the errors of `open_own`."""
    return os.fdopen(open_own(path), "rb")


def read_own(path: AnyPath, start: int = 0) -> bytes:
    """Return the content of a file from an offset on. Raises the errors of `open_own`.

    It makes fewer calls than a `reader`: thousands of runs are read at once.
    """
    fd, size = _open_checked(os.fspath(path), os.O_RDONLY)
    try:
        found = b""
        while True:
            wanted = max(size - start, 0) + _MORE
            data = os.pread(fd, wanted, start)
            found = found + data if found else data
            start += len(data)
            if len(data) < min(wanted, _AT_ONCE):
                return found
    finally:
        os.close(fd)


def check_folder(path: AnyPath) -> None:
    """Raise ForeignFile unless it is our own folder, which others cannot write to.

    Raises OSError if it does not exist.
    """
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode):
        raise _foreign(os.fspath(path), _NO_FOLDER)
    if info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise _foreign(os.fspath(path), "other users own it or can write to it")


def _check(info: os.stat_result, fd: int, name: str) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise _foreign(name, _NO_FILE)
    if info.st_uid != os.geteuid():
        raise _foreign(name, _OTHERS)
    if info.st_nlink > 1 and _is_named_elsewhere(fd, name):
        raise _foreign(name, "it has other hard links")


def _is_named_elsewhere(fd: int, name: str) -> bool:
    """Whether a file has another hard link than that of its draft.

    A draft is beside the file and its name begins like it, `1.1.new` for `1.1.go`: a
    complete file gets its final name by a link. Its creator removes the first name, now
    or never.
    """
    folder, own = os.path.split(name)
    stem = os.path.splitext(own)[0]
    while True:
        info = os.fstat(fd)
        if info.st_nlink <= 1:
            return False
        found = 0
        for each in os.listdir(folder):
            if each.startswith(stem):
                try:
                    other = os.lstat(os.path.join(folder, each))
                except FileNotFoundError:
                    continue
                found += (other.st_dev, other.st_ino) == (info.st_dev, info.st_ino)
        if os.fstat(fd).st_nlink == info.st_nlink:
            return found < info.st_nlink


def _foreign(path: str, why: str) -> ForeignFile:
    return ForeignFile(errno.EPERM, why, path)
