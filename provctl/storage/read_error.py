"""Chooses the error for an unreadable file: damage, or a temporary shortage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from provctl.base.resource_exhaustion import describe, is_resource_exhaustion
from provctl.errors import JournalDamaged, ProvctlError, StateDirError

if TYPE_CHECKING:
    from pathlib import Path


def unreadable(
    path: Path, problem: OSError, *, hint: Optional[str] = None
) -> ProvctlError:
    """Return the error. The owner of a run retries after StateDirError."""
    message = f"{path}: {problem.strerror}"
    if is_resource_exhaustion(problem):
        hint = f"nothing is damaged; {describe(problem, str(path))}"
        return StateDirError(message, hint=hint)
    return JournalDamaged(message, hint=hint)
