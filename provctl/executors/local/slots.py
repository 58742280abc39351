"""Slots and pool units that a shim locks for its attempt, in addition to the owner.

If the owner is killed, the shim keeps the units of its running task locked. See
`storage.slots`. Imports little, like everything that a fork copies (see
`executors.local.shim`).
"""

from __future__ import annotations

import os

from provctl.base import byte_range_lock
from provctl.base.safe_open import open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional


# Set in tests: a shim locks nothing, to show what its locks are good for.
_HOLDS_NOTHING = bool(os.environ.get("PROVCTL_FAILPOINT_SHIM_HOLDS_NOTHING"))


def hold(taken: List[Any]) -> Optional[List[int]]:
    """Lock the units that the owner took; None if it is gone and others may have them.

    The check comes after locking, so the units were never free in between.
    """
    held: List[int] = []
    if _HOLDS_NOTHING:
        return held
    for path, owner, first, count in taken:
        try:
            fd = open_own(path, os.O_RDWR)
        except OSError:
            continue  # the owner's lock must do; running the task matters more
        held.append(fd)
        shared = byte_range_lock.share(fd, first, count)
        if not shared or byte_range_lock.other_lock(fd, owner, 1) is None:
            release(held)
            return None
    return held


def release(held: List[int]) -> None:
    """Release the units; closing the files wakes waiting owners once they are free."""
    for fd in held:
        byte_range_lock.unlock(fd)
        os.close(fd)
