"""The look at what a running attempt uses: CPU and memory of its processes."""

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
    """Looks at one attempt now and then, from whatever process.

    The attempt's file names its shim, and is locked as long as that lives: a number
    that another process has by now is never believed.
    """

    def __init__(self, place: AttemptRef) -> None:
        self._place = place
        self._before: Optional[Tuple[float, float]] = None

    def read(self, now: float) -> Optional[ResourceUsage]:
        """Return what it uses; None if it does not run. `now` is in seconds."""
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
        # What a process used that has ended is its parent's; of one that ended just
        # it may not be assigned yet.
        used_s = max(cpu_s - before[1], 0.0)
        return ResourceUsage(100 * used_s / (now - before[0]), rss_bytes)


def _descendants(shim: int) -> List[int]:
    if sys.platform == "linux":
        return process_tree.descendants(
            shim
        )  # psutil would look through all of the machine
    try:
        return [each.pid for each in psutil.Process(shim).children(recursive=True)]
    except psutil.Error:
        return []


def _use_of(pid: int) -> Tuple[float, int]:
    """CPU seconds of a process and of its children that ended, and its memory."""
    try:
        process = psutil.Process(pid)
        return sum(process.cpu_times()[:4]), int(process.memory_info().rss)
    except psutil.Error:
        return 0.0, 0
