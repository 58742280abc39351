"""Locks. A held kernel lock identifies the owner, never a process id in a file."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from provctl.base.flock import is_locked
from provctl.base.safe_open import open_own, read_own
from provctl.errors import StateDirError

# A process that takes a lock and releases it at once, for example one that waits for
# the holder to end, blocks it for some microseconds. Acquiring is retried for this
# long.
_LOOKS_S = 0.1
# A shared lock of a process that only checks the lock also blocks it. So does a process
# that the holder had just forked when it was killed, until that process executes a
# program. Both can be distinguished from a holder, so they get more time to release the
# lock on a busy machine.
_LATE_S = 5.0


@dataclass(frozen=True)
class LockOwner:
    """What the holder of a lock wrote about itself, for users and for requests.

    `kind` is "foreground" or "scheduler". `socket` is where the holder takes requests.
    `since` is in seconds since the epoch. `slots` and `pools` are the limits of the
    holder, because a process that explains why a task waits may have another
    configuration. They are None if the holder did not write them.
    """

    kind: str
    pid: int
    boot: str
    socket: str
    since: float
    version: str = ""
    slots: Optional[int] = None
    pools: Optional[Mapping[str, int]] = None

    @cached_property
    def line(self) -> bytes:
        """The content of a lock file. Made once: there may be thousands of locks."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"


class Lock:
    """An exclusive flock on a file that is never deleted."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path) -> Optional[Lock]:
        """Return the lock, None while another process holds it. Raises StateDirError.

        Sleeps for up to 5 seconds: never call it in an event loop.
        """
        fd = _open(path)
        began = time.monotonic()
        try:
            while not _try_lock(fd, fcntl.LOCK_EX):
                waited = time.monotonic() - began
                if waited > _LOOKS_S and (waited > _LATE_S or _is_held(fd)):
                    os.close(fd)
                    return None
                time.sleep(0.005)
        except OSError as problem:
            raise _not_locked(path, fd, problem) from problem
        return cls(path, fd)

    @classmethod
    def acquire_now(cls, path: Path) -> Optional[Lock]:
        """Return the lock if no process has it, even shared. Raises StateDirError."""
        fd = _open(path)
        try:
            if _try_lock(fd, fcntl.LOCK_EX):
                return cls(path, fd)
        except OSError as problem:
            raise _not_locked(path, fd, problem) from problem
        os.close(fd)
        return None

    @classmethod
    def wait(cls, path: Path) -> Lock:
        """Return the lock once all other holders released it. Raises StateDirError."""
        fd = _open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as problem:
            raise _not_locked(path, fd, problem) from problem
        return cls(path, fd)

    def describe(self, holder: LockOwner) -> None:
        """Write the lock owner into the file at once: it can be read at any time.

        Raises StateDirError.
        """
        text = holder.line
        try:
            os.ftruncate(self._fd, 0)
            written = 0
            while written < len(text):
                written += os.pwrite(self._fd, text[written:], written)
        except OSError as problem:
            message = f"{self._path}: cannot record the lock owner: {problem.strerror}"
            raise StateDirError(message) from problem

    def release(self) -> None:
        """Release the lock."""
        os.close(self._fd)


def _open(path: Path) -> int:
    try:
        return open_own(path, os.O_RDWR | os.O_CREAT)
    except OSError as problem:
        message = f"{path}: {problem.strerror}"
        raise StateDirError(message) from problem


def _try_lock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held(fd: int) -> bool:
    """Whether one process holds the lock exclusively and is not known to be dead."""
    if _try_lock(fd, fcntl.LOCK_SH):
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False
    try:
        return is_process(int(json.loads(os.pread(fd, 1 << 16, 0))["pid"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return True  # the holder has not described itself yet


def is_process(pid: int) -> bool:
    """Whether the process exists, under any account."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _not_locked(path: Path, fd: int, problem: OSError) -> StateDirError:
    os.close(fd)
    return StateDirError(f"{path}: cannot lock: {problem.strerror}")


def lock_owner(path: Path) -> Optional[LockOwner]:
    """Return the lock owner, None if there is none or it has written nothing yet."""
    try:
        if not is_locked(path):
            return None
        record: Dict[str, Any] = json.loads(read_own(path))
        # A later version may write more fields.
        return LockOwner(**{name: record[name] for name in record.keys() & _TOLD})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


_TOLD = {field.name for field in fields(LockOwner)}


def boot_id() -> str:
    """Return an id that stays the same until the machine reboots. Linux and macOS."""
    # Set in tests, which cannot reboot, to the id of another boot.
    played = os.environ.get("PROVCTL_FAILPOINT_BOOT_ID")
    if played:
        return played
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        # macOS has kern.bootsessionuuid; psutil offers the best replacement everywhere.
        import psutil

        return str(int(psutil.boot_time()))
