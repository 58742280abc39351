"""The processes below a shim: finding, stopping and continuing them.

Linux only, where the shim is a subreaper and none gets away from it; elsewhere
nothing is found, and signals reach the group of the main process alone.
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
    """All processes below a shim, else below this one, parents before their children.

    Zombies too.
    """
    top = shim or os.getpid()
    found = _children(top, top)  # a shim has one thread
    for pid in found:
        # Each thread has children of its own: Nushell's jobs are a thread's.
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            found += _children(pid, thread)
    return found


def running() -> List[int]:
    """Those of them that are more than an entry in a table."""
    return [pid for pid in descendants() if _state(pid) not in "ZX"]


def stop_all() -> List[int]:
    """Stop all of them; return those that somebody else had not stopped before.

    Parents first, so that none sees a child of its stop; and until none moves, for
    each may have made another while we looked.
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
    """Continue processes that `stop` stopped.

    Children first: who waits for one must not find it stopped.
    """
    wanted = set(stopped)
    if wanted:
        signal_all(
            signal.SIGCONT, [pid for pid in descendants()[::-1] if pid in wanted]
        )


def signal_all(number: int, pids: Iterable[int]) -> None:
    """Signal processes below this one, as far as they are still there."""
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
    """The letter of a process's state; X when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return chr(file.read().rpartition(b")")[2].split()[0][0])
    except (OSError, IndexError):
        return "X"
