"""Checks a kernel lock: whether a living process holds it now."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from provctl.base.resource_exhaustion import is_resource_exhaustion
from provctl.base.safe_open import open_own

if TYPE_CHECKING:
    from pathlib import Path


def is_locked(path: Path) -> bool:
    """Whether a process holds a flock on the file; a missing or foreign file has none.

    Raises OSError if that is unknown because no descriptor is free: a caller that took
    this for "no" would think that a living process is dead. The check takes the lock,
    shared, for some microseconds, so a process that wants the lock must retry before it
    assumes a real holder.
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
