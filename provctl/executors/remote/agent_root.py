"""The folder of the agent on a node: its id, and which agent serves which run.

    node/id                            random; another disk has another one
    node/runs/<run>/agent.lock         flock held by the agent that serves the run,
                                       with its process and the owner's epoch
    node/runs/<run>/attempts/*         evidence, as on any machine

If two agents are asked to serve a run, the agent of the later owner does so. The other
agent is left over from a connection that its owner has given up, so it is killed. It
has no state outside the files, and its shims survive it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Container, Dict, List, Sequence, Tuple

from provctl.base.flock import is_locked
from provctl.base.safe_open import open_own, read_own
from provctl.executors.remote.grants import sync_folders

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.executors.protocol import AttemptRef

Epoch = List[int]  # epoch of the owner, number of its connection

_SERVED_MAX = 200  # most idle runs that stay locked; one descriptor each
_WAIT_S = 10.0  # limit for another agent to exit
_LOOK_S = 0.02


class AgentRoot:
    """The folder, and the runs that this agent serves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.runs = folder / "runs"
        self.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.id = self._load_id()
        self._served: Dict[str, Tuple[int, Epoch]] = {}
        self._made: Dict[Path, None] = {}

    def _load_id(self) -> str:
        path = self._folder / "id"
        try:
            return read_own(path).decode("ascii").strip()
        except FileNotFoundError:
            pass
        draft = self._folder / f"id.{os.getpid()}.new"
        fd = open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(fd, os.urandom(16).hex().encode("ascii") + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        with suppress(FileExistsError):  # of two agents, only one sets the id
            os.link(str(draft), str(path))
        draft.unlink()
        sync_folders([self._folder, self._folder.parent])
        return read_own(path).decode("ascii").strip()

    async def serve(self, run: str, epoch: Sequence[int]) -> str:
        """Serve a run for its owner; return why that is refused, or "".

        Raises OSError, also if the previous agent does not exit.
        """
        wanted = [int(number) for number in epoch]
        served = self._served.get(run)
        if served is not None and served[1] == wanted:
            return ""
        if served is not None:
            os.close(self._served.pop(run)[0])
        folder = self.runs / run
        folder.mkdir(mode=0o700, exist_ok=True)
        fd = open_own(folder / "agent.lock", os.O_RDWR | os.O_CREAT)
        try:
            problem = await _lock(fd, folder / "agent.lock", wanted)
            if not problem:
                self._served[run] = fd, wanted
                fd = -1
            return problem
        finally:
            if fd >= 0:
                os.close(fd)

    def make_folder(self, place: AttemptRef) -> None:
        """Create the folder of an attempt, as durable as its future content."""
        if place.folder in self._made:
            return
        if not place.folder.is_dir():
            place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            parent = place.folder.parent
            sync_folders([parent, parent.parent, parent.parent.parent])
        self._made[place.folder] = None

    def release_idle(self, busy: Container[str]) -> None:
        """Release runs without attempts here, if there are many."""
        if len(self._served) <= _SERVED_MAX:
            return
        for run in [run for run in self._served if run not in busy]:
            os.close(self._served.pop(run)[0])

    def prune(self, before: float) -> None:
        """Remove runs untouched since `before` whose results their owners have.

        When an owner has a result, the log is removed here; an attempt that never
        started has none. So a remaining log means that the result is still needed.
        """
        for folder in sorted(self.runs.iterdir()):
            with suppress(OSError):
                if _is_over(folder / "attempts", before):
                    _remove(folder)


def _is_over(folder: Path, before: float) -> bool:
    if os.lstat(folder).st_mtime >= before:
        return False
    return all(path.suffix in (".go", ".checkpoint") for path in folder.iterdir())


def _remove(folder: Path) -> None:
    fd = open_own(folder / "agent.lock", os.O_RDWR | os.O_CREAT)
    try:
        if _try_lock(fd):
            shutil.rmtree(str(folder))
    finally:
        os.close(fd)


async def _lock(fd: int, path: Path, wanted: Epoch) -> str:
    """Lock a run for an epoch; return why that is refused."""
    deadline = time.monotonic() + _WAIT_S
    while not _try_lock(fd):
        pid, epoch = _read_holder(path)
        if epoch > wanted:
            return f"a later owner of the run has it, number {epoch[0]}"
        if time.monotonic() > deadline:
            # This agent then exits, and its owner reconnects.
            message = f"process {pid} serves {path.parent.name}, and does not end"
            raise TimeoutError(message)
        if epoch < wanted:
            _kill_holder(path, pid)
        await asyncio.sleep(_LOOK_S)
    _, epoch = _read_holder(path)
    if epoch > wanted:
        return f"a later owner of the run was here, number {epoch[0]}"
    text = json.dumps({"pid": os.getpid(), "epoch": wanted}).encode("ascii")
    os.ftruncate(fd, 0)
    os.pwrite(fd, text + b"\n", 0)
    os.fsync(fd)
    return ""


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(path: Path) -> Tuple[int, Epoch]:
    """Return the pid and the epoch in a lock; the lowest ones if it has none."""
    try:
        record = json.loads(read_own(path))
        return int(record["pid"]), [int(number) for number in record["epoch"]]
    except (OSError, ValueError, KeyError, TypeError):
        return 0, [0, 0]


def _kill_holder(path: Path, pid: int) -> None:
    """Kill the agent that holds a lock; a second look at the lock proves it is one."""
    if pid <= 0 or pid == os.getpid():
        return
    opened: List[int] = []
    with suppress(OSError):
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            opened.append(os.pidfd_open(pid))
            if is_locked(path) and _read_holder(path)[0] == pid:
                signal.pidfd_send_signal(opened[0], signal.SIGKILL)
        elif is_locked(path) and _read_holder(path)[0] == pid:
            os.kill(pid, signal.SIGKILL)
    for fd in opened:
        os.close(fd)
