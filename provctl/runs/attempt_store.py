"""Which store of attempts is read: the counterpart of `runs.wiring` for readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptStore


def attempt_store() -> AttemptStore:
    """Return what reads the evidence of attempts."""
    from provctl.executors.remote.attempt_store import MirroredAttemptStore

    return MirroredAttemptStore()
