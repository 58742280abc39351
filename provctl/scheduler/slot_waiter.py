"""Waits for slots and pools of other owners; checks only when something was freed."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Iterable, List, Tuple

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.slots import Slots


# When the holder is killed, the kernel reports the close just before it frees the lock.
_ONCE_MORE_S = (0.01, 0.1, 1.0)
_UNWATCHED_S = 1.0  # interval where folders cannot be watched
_IN_CLOSE_WRITE = 0x00000008


class SharedSlots:
    """Acquires slots for attempts; calls `wake` when missing ones may be free.

    For the event loop. Watches nothing while nothing is missing.
    """

    def __init__(self, slots: Slots, folder: Path, wake: Callable[[], object]) -> None:
        self._slots = slots
        self._folder = folder
        self._wake = wake
        self._lacks = False  # something was missing since the last `settle`
        self._inotify = -1
        self._alarms: List[asyncio.TimerHandle] = []
        self.taken = slots.taken
        self.give_back = slots.release
        self.forget = slots.forget

    def acquire(
        self, run: str, task: str, wanted: Iterable[Tuple[str, int]]
    ) -> List[str]:
        """Acquire everything an attempt needs, or nothing; return what is missing."""
        lacking = self._slots.acquire(run, task, wanted)
        if lacking and self._inotify < 0 and self._begin_to_watch():
            # Check again for what was freed before the watch began.
            lacking = self._slots.acquire(run, task, wanted)
        self._lacks = self._lacks or bool(lacking)
        return lacking

    def settle(self) -> None:
        """Wait for what was missing since the last call, and for nothing else."""
        self._slots.settle()
        if not self._lacks:
            self._cease_to_watch()
        elif self._inotify < 0:
            self._set_alarms(_UNWATCHED_S)
        self._lacks = False

    def close(self) -> None:
        """Release everything, and wait for nothing."""
        self._cease_to_watch()
        self._slots.close()

    def _begin_to_watch(self) -> bool:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        # A user has a limited number of them; without one, poll by the clock.
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
