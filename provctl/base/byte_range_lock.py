"""Locks of byte ranges of a file; they end when the open file is closed.

Linux calls them open file description locks. The bytes need not exist. Locks of one
open file do not conflict, and the change from exclusive to shared is atomic. Only the
standard library is imported, because shims use it too.
"""

from __future__ import annotations

import errno
import fcntl
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple


AVAILABLE = sys.platform == "linux"
# `fcntl` has no names for them before Python 3.9.
_F_OFD_GETLK, _F_OFD_SETLK = 36, 37
_LAYOUT = "hhqqi4x"  # struct flock: type, whence, start, length, pid
_HELD = (errno.EAGAIN, errno.EACCES)


def share(fd: int, start: int, length: int) -> bool:
    """Lock bytes shared with others; False if another open file excludes this."""
    return _set(fd, fcntl.F_RDLCK, start, length)


def exclude(fd: int, start: int, length: int) -> bool:
    """Lock bytes exclusively; False if another open file has some of them."""
    return _set(fd, fcntl.F_WRLCK, start, length)


def unlock(fd: int, start: int = 0, length: int = 0) -> None:
    """Unlock bytes; a length of 0 means all that follow."""
    _set(fd, fcntl.F_UNLCK, start, length)


def other_lock(fd: int, start: int, length: int) -> Optional[Tuple[int, int]]:
    """Return start and length of a lock that another open file has there, if any.

    If there are several, it may be any of them.
    """
    query = struct.pack(_LAYOUT, fcntl.F_WRLCK, 0, start, length, 0)
    kind, _, first, count, _ = struct.unpack(
        _LAYOUT, fcntl.fcntl(fd, _F_OFD_GETLK, query)
    )
    return None if kind == fcntl.F_UNLCK else (first, count)


def _set(fd: int, kind: int, start: int, length: int) -> bool:
    request = struct.pack(_LAYOUT, kind, 0, start, length, 0)
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, request)
    except OSError as problem:
        if problem.errno in _HELD:
            return False
        raise
    return True
