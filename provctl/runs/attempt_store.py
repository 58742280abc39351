"""Chooses the store of attempts for readers; `runs.wiring` chooses the executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptStore


def attempt_store() -> AttemptStore:
    """Return the store with the evidence of attempts."""
    from provctl.executors.remote.attempt_store import MirroredAttemptStore

    return MirroredAttemptStore()
