"""The locks of runs that the scheduler is about to acquire.

A process that only reads, or one that a dead owner forked, may hold a lock for a
moment. To tell such a process from an owner, a thread waits.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Dict, Iterable, Optional

from provctl.errors import StateDirError
from provctl.storage.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir


_THREADS = 4


class RunLocks:
    """Holds locks until `take` hands them over. Used in the event loop only."""

    def __init__(self) -> None:
        self._held: Dict[str, Lock] = {}
        self._waits: Dict[str, asyncio.Future[Optional[Lock]]] = {}
        self._pool: Optional[ThreadPoolExecutor] = None
        self._closed = False

    def hold_now(self, folder: RunDir) -> bool:
        """Hold the lock of a run if it is free; return False if that needs a wait.

        A lock that cannot be opened needs no wait: `take` raises the reason.
        """
        if folder.id in self._held:
            return True
        if folder.id in self._waits:
            return False
        try:
            lock = Lock.acquire_now(folder.lock)
        except StateDirError:
            return True
        if lock is not None:
            self._held[folder.id] = lock
        return lock is not None

    async def wait(self, folders: Iterable[RunDir]) -> None:
        """Hold the locks of runs, except those that have an owner."""
        await asyncio.wait([self._wait_for(folder) for folder in folders])

    def _wait_for(self, folder: RunDir) -> asyncio.Future[Optional[Lock]]:
        if folder.id not in self._waits:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS)
            loop = asyncio.get_running_loop()
            wait = loop.run_in_executor(self._pool, self._acquire, folder.lock)
            wait.add_done_callback(partial(self._on_end_of_wait, folder.id))
            self._waits[folder.id] = wait
        return self._waits[folder.id]

    def _acquire(self, path: Path) -> Optional[Lock]:
        try:
            lock = Lock.acquire(path)
        except StateDirError:
            return None  # `take` raises it
        if lock is not None and self._closed:
            lock.release()
            return None
        return lock

    def _on_end_of_wait(
        self, run_id: str, wait: asyncio.Future[Optional[Lock]]
    ) -> None:
        del self._waits[run_id]
        lock = None if wait.cancelled() else wait.result()
        if lock is not None:
            self._held[run_id] = lock

    def take(self, folder: RunDir) -> Optional[Lock]:
        """Return the lock of a run and hand it to the caller; None if it is not free.

        Raises StateDirError.
        """
        return self._held.pop(folder.id, None) or Lock.acquire_now(folder.lock)

    def close(self) -> None:
        """Release all locks, and wait for no more."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        for lock in self._held.values():
            lock.release()
        self._held.clear()
