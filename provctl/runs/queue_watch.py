"""Asks the scheduler about queued runs that it does not take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Dict, Set, Tuple

from provctl.errors import RequestRejected, SchedulerUnreachable, StateDirError

if TYPE_CHECKING:
    from provctl.runs.owner_client import OwnerClient
    from provctl.storage.layout import StateDir


# A healthy scheduler takes queued runs at once, so it is rarely asked.
_ASK_S = 1.0


class QueueWatcher:
    """The watched runs that are queued without an owner. `tell` gets messages."""

    def __init__(
        self, folder: StateDir, owner_client: OwnerClient, tell: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._owner_client = owner_client
        self._tell = tell
        self._ask_at: Dict[str, float] = {}
        self._told: Set[Tuple[str, str]] = set()

    def is_being_acquired(self, run_id: str) -> bool:
        """Whether a run without an owner is queued, and a scheduler can take it.

        After a while this asks the scheduler to take the run. If the scheduler never
        can, this raises the reason: JournalDamaged, JournalTooNew, NotFound. Temporary
        reasons, such as a full disk, are reported once.
        """
        queued = (self._folder.queue / run_id).exists()
        if not queued or self._owner_client.scheduler() is None:
            self._ask_at.pop(run_id, None)
            return False
        now = time.monotonic()
        if now >= self._ask_at.setdefault(run_id, now + _ASK_S):
            self._ask_for(run_id)
            self._ask_at[run_id] = time.monotonic() + _ASK_S
        return True

    def _ask_for(self, run_id: str) -> None:
        try:
            self._owner_client.ask_scheduler("take", run=run_id)
        except (RequestRejected, SchedulerUnreachable):
            return  # it has an owner by now, has ended, or the scheduler is stopping
        except StateDirError as problem:
            words = f"run {run_id} cannot be started yet: {problem.message}"
            if (run_id, words) not in self._told:
                self._told.add((run_id, words))
                self._tell(words)
