"""Kills supervisors of attempts, as the kernel does when memory is short."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from provctl.executors.local.attempt_file import shim_pid
from provctl.executors.protocol import AttemptRef
from tests.support.attempts import alive

if TYPE_CHECKING:
    from tests.support.installed import Provctl

__all__ = ["kill_supervisor"]


def kill_supervisor(
    provctl: Provctl, run: str, index: int = 0, attempt: int = 1, purpose: str = "run"
) -> None:
    """Wait until an attempt is running, then kill its shim."""
    folder = provctl.state / "runs" / run / "attempts"
    place = AttemptRef(run, "", attempt, folder, index, purpose)
    pid = provctl.until(lambda: shim_pid(place), f"{place.name} has a supervisor")
    os.kill(pid, signal.SIGKILL)
    provctl.until(lambda: not alive(pid), "it is gone")
