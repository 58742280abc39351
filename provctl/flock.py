"""Owns the look at a kernel lock: whether some living process holds it now."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_locked", "is_want"]

_WANTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def is_want(problem: OSError) -> bool:
    """Whether it says nothing of the file, only that we have no room to open it now."""
    return problem.errno in _WANTS


def is_locked(path: Path) -> bool:
    """Whether somebody holds a flock on the file. A missing file is not locked.

    Raises OSError where that cannot be known for want of a descriptor: who took that
    for no would take what lives for dead.
    The look takes the lock, shared, for some microseconds: who wants to hold it
    must try again before it believes in a real holder.
    """
    try:
        fd = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        if is_want(problem):
            raise
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)
