"""Passes the fence: one rename or link decides for good whether an attempt starts.

A recovering owner may take the fence first (see `executors.local.attempt_file`).
"""

from __future__ import annotations

import errno
import os
import time

from provctl.executors.local.syscalls import rename_new

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    from typing import Optional, Tuple


_TRIES = 5  # tries on a disk that refuses, one second apart
# Errors of an old kernel, a file system or a sandbox without `renameat2`.
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EPERM)
# Set in tests: the fence has no effect, to show what it is good for.
_NO_FENCE = bool(os.environ.get("PROVCTL_FAILPOINT_NO_FENCE"))


def pass_fence(new: str, go: str) -> Tuple[bool, Optional[OSError]]:
    """Return whether this shim may start the attempt, and the error of the sync if any.

    `new` is the attempt's file, which is renamed to `go`: `1.1.new` and `1.1.go`.
    Raises OSError if that name cannot be created; the owner then finds that the attempt
    never started.
    """
    passed = not _has_begun(go) and _take_name(new, go)
    if not passed:
        _remove(new)
    problem = None
    try:
        folder = os.open(os.path.dirname(go), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        problem = error
    return passed, problem


def _has_begun(go: str) -> bool:
    """Whether another shim passed this fence, even if `go` was removed since."""
    traces = (f"{go[:-2]}{name}" for name in ("log", "in"))
    return not _NO_FENCE and any(map(os.path.lexists, traces))


def _take_name(new: str, go: str) -> bool:
    """Give a file its final name, unless a file of that name exists."""
    for left in reversed(range(_TRIES)):
        try:
            _rename(new, go)
        except FileExistsError:
            return _NO_FENCE
        except OSError:
            if not left:
                raise
            time.sleep(1)
        else:
            break
    return True


def _rename(new: str, go: str) -> None:
    """Rename without replacing; use a link if the file system does not support that."""
    try:
        rename_new(new, go)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        os.link(new, go)
        _remove(new)


def _remove(new: str) -> None:
    try:
        os.unlink(new)
    except OSError:
        pass  # a leftover file does no harm
