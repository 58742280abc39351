"""Owns what is raised for a file that cannot be read: damage, or a want that passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from provctl.errors import JournalDamaged, ProvctlError, StateUnusable
from provctl.shortage import describe, is_shortage

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unreadable"]


def unreadable(
    path: Path, problem: OSError, *, hint: Optional[str] = None
) -> ProvctlError:
    """Return the error. Who takes care of a run tries it again after StateUnusable."""
    message = f"{path}: {problem.strerror}"
    if is_shortage(problem):
        hint = f"nothing is damaged; {describe(problem, str(path))}"
        return StateUnusable(message, hint=hint)
    return JournalDamaged(message, hint=hint)
