"""Errors that mean that the machine ran out of a resource, not that a task failed.

Imports only little of the standard library, because shims use it too.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple


# Which resource is exhausted, and what to do.
_WHAT: Dict[int, Tuple[str, str]] = {
    errno.ENOSPC: ("no space left on the disk", "free disk space"),
    errno.EDQUOT: ("the disk quota is used up", "free space, or raise the quota"),
    errno.EFBIG: ("the file size limit is reached", "raise ulimit -f"),
    errno.EMFILE: ("no file descriptor is free for this process", "raise ulimit -n"),
    errno.ENFILE: ("no file descriptor is free", "raise fs.file-max"),
    errno.ENOMEM: ("no memory is free", "free memory, or raise the limit"),
    errno.EAGAIN: ("no process is free", "raise ulimit -u, or pids.max of its cgroup"),
}
_INODES = ("no inode is free on the disk", "delete files there")
_FEW = 4  # free files or blocks; with fewer an attempt cannot start


def is_resource_exhaustion(problem: OSError) -> bool:
    """Whether an error means that a resource of the machine is exhausted."""
    return problem.errno in _WHAT


def describe(problem: OSError, what: str) -> str:
    """Describe what is exhausted for `what` (a path or a program), and what to do."""
    lacks, remedy = _WHAT[problem.errno or 0]
    if (
        problem.errno == errno.ENOSPC
        and _inodes_left(what.rpartition("/")[0] or "/") == 0
    ):
        lacks, remedy = _INODES
    return f"{lacks} for {what}: {remedy}"


def is_full(folder: str) -> bool:
    """Whether the disk of a folder has no room for the files of another attempt."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    blocks = disk.f_bavail if os.geteuid() else disk.f_bfree
    return blocks < _FEW or (disk.f_files > 0 and disk.f_favail < _FEW)


def _inodes_left(folder: str) -> int:
    """The number of free inodes of a disk; -1 if it does not count them."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return -1
    return disk.f_favail if disk.f_files else -1
