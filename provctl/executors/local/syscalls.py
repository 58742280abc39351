"""System calls that the shim needs and that Python does not provide.

All exist on Linux only. On other systems orphans are not inherited, and a log is
checked at intervals instead of being watched.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_PR_SET_CHILD_SUBREAPER = 36
_OOM_MORE, _OOM_MOST = 500, 1000
_IN_MODIFY_ONCE = 0x00000002 | 0x80000000  # IN_MODIFY | IN_ONESHOT

_libc = ctypes.CDLL(None, use_errno=True)
_LINUX = sys.platform == "linux"


def rename_new(source: str, target: str) -> None:
    """Rename a file without replacing another: `renameat2` with RENAME_NOREPLACE.

    Raises FileExistsError if the target exists, and OSError with ENOSYS if the system
    does not have this call.
    """
    rename = getattr(_libc, "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = os.fsencode(source), os.fsencode(target)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source, None, target)


def become_reaper() -> None:
    """Make this process inherit every orphan below it (subreaper)."""
    if _LINUX:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_when_readable(fd: int) -> None:
    """Have SIGIO sent to this process whenever the descriptor is readable."""
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


class OomScore:
    """Makes the kernel kill tasks before their shims and owners when memory is short.

    A child inherits the score of its parent, so the shim takes the score of a task
    while it spawns one. A score that cannot be read or written stays as it is.
    """

    def __init__(self) -> None:
        self._own = 0
        try:
            self._fd = os.open("/proc/self/oom_score_adj", os.O_RDWR)
            self._own = int(os.read(self._fd, 16))
        except (OSError, ValueError):
            self._fd = -1

    def be_of_task(self) -> None:
        """Take the score of tasks."""
        self._write(min(self._own + _OOM_MORE, _OOM_MOST))

    def be_own(self) -> None:
        """Take the original score again."""
        self._write(self._own)

    def _write(self, score: int) -> None:
        if self._fd >= 0:
            try:
                os.write(self._fd, b"%d" % score)
            except OSError:
                pass  # then all processes have the same score


class FileWatch:
    """Sends SIGIO once when a file is written to: a quiet task causes no wake-ups.

    The descriptor is created when it is first needed, and then kept, because closing
    one that was in use takes the kernel 16 ms.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._watched = -1

    def arm(self, path: str) -> bool:
        """Send SIGIO at the next write; return False if that is not possible."""
        if not _LINUX:
            return False
        if self._fd < 0:
            # A user has a limited number of them; without one, poll by the clock.
            self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._fd < 0:
                return False
            signal_when_readable(self._fd)
        if self._watched < 0:
            name = os.fsencode(path)
            self._watched = _libc.inotify_add_watch(self._fd, name, _IN_MODIFY_ONCE)
        return bool(self._watched >= 0)

    def fired(self) -> bool:
        """Whether there was a write since `arm`; if so, it must be armed again."""
        if self._watched < 0:
            return False
        try:
            os.read(self._fd, 4096)
        except OSError:
            return False
        self._watched = -1
        return True

    def disarm(self) -> None:
        """Stop watching."""
        if self._watched >= 0:
            _libc.inotify_rm_watch(self._fd, self._watched)
            self.fired()
            self._watched = -1
