"""Threads that wait for the disk, so that the event loop does not have to.

A sync takes milliseconds, and syncs at the same time share most of the cost. So files
are synced in parallel, and requests that arrive meanwhile are handled together next.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable, Iterable, Optional, Tuple

from provctl.executors.remote.grants import sync_folders
from provctl.executors.remote.mirror import store_record

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.executors.protocol import AttemptRef

_THREADS = 8


class SyncThreads:
    """Does work that waits for the disk; reports the result in the event loop."""

    def __init__(self) -> None:
        self._pool: Optional[ThreadPoolExecutor] = None

    def sync_folders(
        self, folders: Iterable[Path], done: Callable[[Optional[OSError]], None]
    ) -> None:
        """Sync folders, one after the other."""
        given = list(folders)
        self._run(lambda: sync_folders(given), done)

    def store_records(
        self,
        arrived: Iterable[Tuple[AttemptRef, bytes]],
        done: Callable[[Optional[OSError]], None],
    ) -> None:
        """Make exit records durable, with one sync of each folder."""
        given = list(arrived)

        def store() -> None:
            pool = self._threads()
            futures = [pool.submit(store_record, *each) for each in given[1:]]
            try:
                for each in given[:1]:
                    store_record(*each)
            finally:
                problems = [future.exception() for future in futures]
            for problem in problems:
                if problem is not None:
                    raise problem
            sync_folders({place.folder: None for place, _ in given})

        self._run(store, done)

    def close(self) -> None:
        """Wait for the work in progress."""
        if self._pool is not None:
            self._pool.shutdown()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS)
        return self._pool

    def _run(
        self, work: Callable[[], None], done: Callable[[Optional[OSError]], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads(), work)

        def on_done(ended: asyncio.Future[None]) -> None:
            problem = None if ended.cancelled() else ended.exception()
            if problem is not None and not isinstance(problem, OSError):
                raise problem
            done(problem)

        future.add_done_callback(on_done)
