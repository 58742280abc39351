"""The processes below a shim: finding, stopping and continuing them.

Linux only: there the shim is a subreaper and no descendant can escape it. On other
systems no process is found, and signals reach only the main process's group.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    import signal
    from typing import Iterable, List
else:
    import _signal as signal


_STANDS_S = 0.2  # the longest wait for a process that hangs in the kernel
_LOOK_AGAIN_S = 0.0005


def descendants(shim: int = 0) -> List[int]:
    """Return all processes below a shim, or below this one; parents before children.

    Includes zombies.
    """
    top = shim or os.getpid()
    found = _children(top, top)  # a shim has one thread
    for pid in found:
        # Each thread has its own children: Nushell's jobs belong to a thread.
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            found += _children(pid, thread)
    return found


def running() -> List[int]:
    """Return the descendants that are not zombies."""
    return [pid for pid in descendants() if _state(pid) not in "ZX"]


def stop_all() -> List[int]:
    """Stop all descendants; return those that were not stopped already.

    Parents first, so that no parent notices that its child stopped. Repeats until all
    are stopped, because a process may fork during a pass.
    """
    stopped: List[int] = []
    deadline = time.monotonic() + _STANDS_S
    while True:
        moving = [pid for pid in descendants() if _state(pid) not in "TtZX"]
        if not moving or time.monotonic() > deadline:
            return stopped
        stopped += [pid for pid in moving if pid not in stopped]
        signal_all(signal.SIGSTOP, moving)
        time.sleep(_LOOK_AGAIN_S)


def continue_all(stopped: Iterable[int]) -> None:
    """Continue processes that `stop_all` stopped.

    Children first, so that a parent that waits for a child does not find it stopped.
    """
    wanted = set(stopped)
    if wanted:
        signal_all(
            signal.SIGCONT, [pid for pid in descendants()[::-1] if pid in wanted]
        )


def signal_all(number: int, pids: Iterable[int]) -> None:
    """Signal processes below this one, as far as they still exist."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _children(pid: int, thread: object) -> List[int]:
    try:
        with open(f"/proc/{pid}/task/{thread}/children", "rb", 0) as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _state(pid: int) -> str:
    """Return the letter of a process's state; X if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return chr(file.read().rpartition(b")")[2].split()[0][0])
    except (OSError, IndexError):
        return "X"
