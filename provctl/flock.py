"""Owns the look at a kernel lock: whether some living process holds it now."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from provctl.own_file import open_own
from provctl.shortage import is_shortage

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_locked"]


def is_locked(path: Path) -> bool:
    """Whether somebody holds a flock on the file. A missing file is not locked,
    nor what is none of ours.

    Raises OSError where that cannot be known for want of a descriptor: who took that
    for no would take what lives for dead.
    The look takes the lock, shared, for some microseconds: who wants to hold it
    must try again before it believes in a real holder.
    """
    try:
        fd = open_own(path)
    except OSError as problem:
        if is_shortage(problem):
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
