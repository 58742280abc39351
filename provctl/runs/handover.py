"""Hands a run over from the foreground to the background scheduler.

With this order of steps, the run continues whenever the process dies:

 1. a durable marker in queue/: any scheduler that starts from now on takes the run
 2. a running scheduler; until there is one the old owner stays
 3. the owner releases the lock (see `Scheduler.close`); tasks are not affected
 4. a poke: the scheduler takes the run, replays its journal, adopts live attempts
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Optional

from provctl.errors import SchedulerUnreachable

if TYPE_CHECKING:
    from provctl.runs.owner_client import OwnerClient
    from provctl.storage.layout import StateDir


# Set in tests to the moment at which this process is killed: "asked", "marked",
# "started", "released" or "poked". "unmarked" leaves out the first step.
_FAILPOINT = os.environ.get("PROVCTL_FAILPOINT_HANDOVER", "")


class Handover:
    """Hands a run over: `mark_for_handover`, `find_new_owner`, release, `complete`."""

    def __init__(
        self, folder: StateDir, owner_client: OwnerClient, run_id: str
    ) -> None:
        self._folder = folder
        self._owner_client = owner_client
        self._run_id = run_id

    def mark_for_handover(self) -> None:
        """Mark the run for the scheduler, durably. Raises StateDirError."""
        _failpoint("asked")
        if _FAILPOINT != "unmarked":
            self._folder.enqueue(self._run_id)
        _failpoint("marked")

    async def find_new_owner(self) -> Optional[SchedulerUnreachable]:
        """Start a scheduler if none is running; return why that failed, or None.

        The loop continues meanwhile. A failure is written to the scheduler's log.
        """
        start = partial(self._owner_client.ensure_scheduler, asked=True)
        try:
            await asyncio.get_running_loop().run_in_executor(None, start)
        except SchedulerUnreachable as problem:
            message = f"the run stays with process {os.getpid()}: {problem.message}"
            self._owner_client.log_note(f"run {self._run_id}: {message}")
            return problem
        _failpoint("started")
        return None

    def complete(self) -> None:
        """Make the scheduler take the run, after this process released it.

        If the scheduler cannot be reached, the marker remains and its log says so.
        """
        _failpoint("released")
        try:
            self._owner_client.ensure_scheduler(asked=True)
            self._owner_client.ask_scheduler("poke")
        except SchedulerUnreachable as problem:
            message = f"queued, but no scheduler could be reached: {problem.message}"
            self._owner_client.log_note(f"run {self._run_id}: {message}")
        _failpoint("poked")


def _failpoint(moment: str) -> None:
    if moment == _FAILPOINT:
        os.kill(os.getpid(), signal.SIGKILL)
