"""Owns what is raised for a file that cannot be read: damage, or a want that passes."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Optional

from provctl.errors import JournalDamaged, ProvctlError, StateUnusable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unreadable"]

_PASSES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def unreadable(
    path: Path, problem: OSError, *, hint: Optional[str] = None
) -> ProvctlError:
    """Return the error. Who takes care of a run tries it again after StateUnusable."""
    message = f"{path}: {problem.strerror}"
    if problem.errno in _PASSES:
        return StateUnusable(message, hint="nothing is damaged; ulimit -n may be low")
    return JournalDamaged(message, hint=hint)
