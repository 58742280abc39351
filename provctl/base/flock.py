"""The look at a kernel lock: whether some living process holds it now."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from provctl.base.resource_exhaustion import is_resource_exhaustion
from provctl.base.safe_open import open_own

if TYPE_CHECKING:
    from pathlib import Path


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
        if is_resource_exhaustion(problem):
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
