"""Waiting for what other owners have: no look at it but when something was freed."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Iterable, List, Tuple

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.slots import Slots


# If the holder is killed, the kernel reports the close right before it frees the lock.
_ONCE_MORE_S = (0.01, 0.1, 1.0)
_UNWATCHED_S = 1.0  # where folders cannot be watched
_IN_CLOSE_WRITE = 0x00000008


class SharedSlots:
    """Takes slots for attempts; calls `wake` when some may be free that lacked.

    Of the event loop. While nothing lacks nothing is watched.
    """

    def __init__(self, slots: Slots, folder: Path, wake: Callable[[], object]) -> None:
        self._slots = slots
        self._folder = folder
        self._wake = wake
        self._lacks = False  # something did, since the last `settle`
        self._inotify = -1
        self._alarms: List[asyncio.TimerHandle] = []
        self.taken = slots.taken
        self.give_back = slots.release
        self.forget = slots.forget

    def acquire(
        self, run: str, task: str, wanted: Iterable[Tuple[str, int]]
    ) -> List[str]:
        """Take all that an attempt takes, or nothing; return what lacks."""
        lacking = self._slots.acquire(run, task, wanted)
        if lacking and self._inotify < 0 and self._begin_to_watch():
            # What was freed before it was watched is seen now.
            lacking = self._slots.acquire(run, task, wanted)
        self._lacks = self._lacks or bool(lacking)
        return lacking

    def settle(self) -> None:
        """Wait for what lacked since the last time, and for nothing else."""
        self._slots.settle()
        if not self._lacks:
            self._cease_to_watch()
        elif self._inotify < 0:
            self._set_alarms(_UNWATCHED_S)
        self._lacks = False

    def close(self) -> None:
        """Give back everything, and wait for nothing."""
        self._cease_to_watch()
        self._slots.close()

    def _begin_to_watch(self) -> bool:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        # A user may have but so many: who gets none has to look by the clock.
        inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if inotify < 0:
            return False
        name = os.fsencode(self._folder)
        if libc.inotify_add_watch(inotify, name, _IN_CLOSE_WRITE) < 0:
            os.close(inotify)
            return False
        self._inotify = inotify
        asyncio.get_running_loop().add_reader(inotify, self._on_freed)
        return True

    def _cease_to_watch(self) -> None:
        self._set_alarms()
        if self._inotify >= 0:
            asyncio.get_running_loop().remove_reader(self._inotify)
            os.close(self._inotify)
            self._inotify = -1

    def _on_freed(self) -> None:
        with suppress(OSError):
            os.read(self._inotify, 1 << 16)
        self._set_alarms(*_ONCE_MORE_S)
        self._wake()

    def _set_alarms(self, *waits_s: float) -> None:
        for alarm in self._alarms:
            alarm.cancel()
        self._alarms = [
            asyncio.get_running_loop().call_later(wait_s, self._wake)
            for wait_s in waits_s
        ]
