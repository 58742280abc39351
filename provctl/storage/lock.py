"""The locks: identity is a held kernel lock, never a process id in a file."""

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

# Who takes a lock and gives it up at once, as whoever waits for its holder's end, is in
# the way for some microseconds: so long it is retried.
_LOOKS_S = 0.1
# So is who only looks, and has it shared; and what its holder had just forked when it
# was killed, until that runs a program. Both can be told from a holder, so they may be
# late to let go, on a busy machine.
_LATE_S = 5.0


@dataclass(frozen=True)
class LockOwner:
    """What the holder of a lock wrote about itself, for people and for requests.

    `kind` is "foreground" or "scheduler", `socket` where it takes requests,
    `since` seconds since the epoch. `slots` and `pools` are its limits, for who asks
    why something waits may be configured otherwise; None if it has not said.
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
        """What stands in the locks; made once, for there may be thousands."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"


class Lock:
    """An exclusive flock on a file that is never deleted."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path) -> Optional[Lock]:
        """Return the lock, or None while somebody holds it. Raises StateDirError.

        Sleeps, for 5 seconds at most: never call it in an event loop.
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
        """Return the lock if nobody has it, not even for a look. Raises StateDirError."""
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
        """Return the lock, after everyone before has let go. Raises StateDirError."""
        fd = _open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as problem:
            raise _not_locked(path, fd, problem) from problem
        return cls(path, fd)

    def describe(self, holder: LockOwner) -> None:
        """Write who holds it into the file; in one piece, for readers at any time.

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
        """Let go."""
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
    """Whether it is held by one alone, of which nothing says that it is dead."""
    if _try_lock(fd, fcntl.LOCK_SH):
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False
    try:
        return is_process(int(json.loads(os.pread(fd, 1 << 16, 0))["pid"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return True  # it has not said who it is


def is_process(pid: int) -> bool:
    """Whether there is such a process; also one of another account."""
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
    """Return who holds the lock, None if nobody does (or has not said yet)."""
    try:
        if not is_locked(path):
            return None
        record: Dict[str, Any] = json.loads(read_own(path))
        # A later version may say more of itself.
        return LockOwner(**{name: record[name] for name in record.keys() & _TOLD})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


_TOLD = {field.name for field in fields(LockOwner)}


def boot_id() -> str:
    """Return what is the same until the machine reboots. Linux and macOS."""
    # Set in tests, which cannot reboot: the id of another boot.
    played = os.environ.get("PROVCTL_FAILPOINT_BOOT_ID")
    if played:
        return played
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        # macOS has kern.bootsessionuuid; psutil gives the next best everywhere.
        import psutil

        return str(int(psutil.boot_time()))
