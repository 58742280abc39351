"""Marks runs whose hooks are pending, and starts the process that runs them.

 hooks/<run>          created when a run gets an owner; its hooks run when it finishes
 hooks/.doing-<run>   its hooks are running

A mark is removed when all hooks of a run have run, whatever their result. So they run
at least once, even after a crash.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Iterable, List, Optional, Sequence

from provctl.base.safe_open import check_folder
from provctl.errors import StateDirError
from provctl.storage.layout import fsync_dir, write_fsync

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from provctl.storage.layout import StateDir


_DOING = ".doing-"
_AT_ONCE = 200  # runs per process


class PendingHooks:
    """The marks of one state directory."""

    def __init__(self, folder: StateDir) -> None:
        self._folder = folder.path / "hooks"

    def add(self, run_id: str) -> None:
        """Mark a run, durably, unless it is marked. Raises StateDirError."""
        path = self._folder / run_id
        try:
            if path.exists():
                return
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                fsync_dir(self._folder.parent)
            write_fsync(path, b"")
            fsync_dir(self._folder)
        except OSError as problem:
            message = f"{path}: {problem.strerror}"
            raise StateDirError(message) from problem

    def pending(self) -> List[str]:
        """Return the marked runs, sorted."""
        try:
            check_folder(self._folder)
            names = {path.name for path in self._folder.iterdir()}
        except OSError:
            return []
        begun = {n[len(_DOING) :] for n in names if n.startswith(_DOING)}
        return sorted(begun | {name for name in names if not name.startswith(".")})

    def waits(self, run_id: str) -> bool:
        """Whether a run is marked, and no process has started its hooks."""
        return (self._folder / run_id).exists()

    def claim(self, run_id: str) -> bool:
        """Claim the mark of a run, so that its next finish sets a new one.

        A mark that another process claimed before can be claimed again.
        """
        try:
            check_folder(self._folder)
            (self._folder / run_id).replace(self._doing(run_id))
        except OSError:
            return self._doing(run_id).exists()
        return True

    def release(self, run_id: str) -> None:
        """Return a claimed mark, because the run has not finished after all."""
        with suppress(OSError):
            self._doing(run_id).replace(self._folder / run_id)

    def done(self, run_id: str) -> None:
        """Remove the mark: all hooks of the run have run."""
        with suppress(OSError):
            self._doing(run_id).unlink()

    def _doing(self, run_id: str) -> Path:
        return self._folder / f"{_DOING}{run_id}"


class HookLauncher:
    """Starts the processes that run hooks, one at a time. Used in the event loop.

    `start` starts a process for some runs; it returns None if that failed. If a process
    dies, the next one gets the runs whose hooks it had not started; the run whose hooks
    it had started may be the cause of its death.
    """

    def __init__(
        self,
        start: Callable[[Sequence[str]], Optional[subprocess.Popen[bytes]]],
        marks: PendingHooks,
    ) -> None:
        self._start = start
        self._marks = marks
        self._loop = asyncio.get_running_loop()
        self._waiting: List[str] = []
        self._busy = False

    def on_run_finished(self, run_ids: Iterable[str]) -> None:
        """Run the hooks of these runs, now or when the current process has ended."""
        self._waiting += run_ids
        self._go_on()

    def _go_on(self) -> None:
        if self._busy or not self._waiting:
            return
        some, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        process = self._start(some)
        if process is not None:
            self._busy = True
            # When the scheduler ends, it waits neither for the thread nor for the
            # process.
            watch = threading.Thread(
                target=self._watch, args=[process, some], daemon=True
            )
            try:
                watch.start()
            except RuntimeError:  # no thread is available
                self._busy = False  # the next process waits for this one by itself

    def _watch(self, process: subprocess.Popen[bytes], run_ids: List[str]) -> None:
        died = process.wait() != 0
        left = [run for run in run_ids if died and self._marks.waits(run)]
        if len(left) == len(run_ids):
            left = []  # it dies before it starts; the next process checks again
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._through, left)

    def _through(self, left: List[str]) -> None:
        self._busy = False
        self._waiting[:0] = left
        self._go_on()
