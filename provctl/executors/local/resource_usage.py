"""Measures what a running attempt uses: CPU and memory of its processes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, List, Optional, Tuple

import psutil

from provctl.executors.local import process_tree
from provctl.executors.local.attempt_file import is_running, shim_pid
from provctl.executors.protocol import ResourceUsage

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef


class ResourceMeter:
    """Measures one attempt now and then, from any process.

    The attempt's file names its shim and stays locked as long as the shim lives, so a
    pid that another process has reused is never trusted.
    """

    def __init__(self, place: AttemptRef) -> None:
        self._place = place
        self._before: Optional[Tuple[float, float]] = None

    def read(self, now: float) -> Optional[ResourceUsage]:
        """Return its usage; None if it is not running. `now` is in seconds."""
        shim = shim_pid(self._place)
        if shim is None:
            return None
        cpu_s, _ = _use_of(shim)
        rss_bytes = 0
        for pid in _descendants(shim):
            used_cpu_s, used_bytes = _use_of(pid)
            cpu_s += used_cpu_s
            rss_bytes += used_bytes
        if not is_running(self._place):
            return None
        before, self._before = self._before, (now, cpu_s)
        if before is None or now <= before[0]:
            return ResourceUsage(None, rss_bytes)
        # The CPU time of an ended process is added to its parent's. For a process that
        # ended just now, that may not have happened yet.
        used_s = max(cpu_s - before[1], 0.0)
        return ResourceUsage(100 * used_s / (now - before[0]), rss_bytes)


def _descendants(shim: int) -> List[int]:
    if sys.platform == "linux":
        return process_tree.descendants(
            shim
        )  # psutil would scan all processes of the machine
    try:
        return [each.pid for each in psutil.Process(shim).children(recursive=True)]
    except psutil.Error:
        return []


def _use_of(pid: int) -> Tuple[float, int]:
    """Return a process's CPU seconds, with its ended children, and its memory."""
    try:
        process = psutil.Process(pid)
        return sum(process.cpu_times()[:4]), int(process.memory_info().rss)
    except psutil.Error:
        return 0.0, 0
