"""Checks that a state directory is usable: owner, mode, file system, locks, disk."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import NamedTuple, Sequence

from provctl.errors import StateDirError

_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    ]
)
_ELSEWHERE = "choose another one: PROVCTL_STATE_DIR, --state-dir or storage.data_dir"


class Mount(NamedTuple):
    """A mounted file system."""

    point: str
    kind: str


def current_mounts() -> Sequence[Mount]:
    """Return the current mounts; nothing if the system does not list them."""
    import psutil

    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:
        return ()
    return tuple(Mount(entry.mountpoint, entry.fstype) for entry in partitions)


def check_state_dir(path: Path, *, uid: int, mounts: Sequence[Mount]) -> str:
    """Return a short description of a state directory that the user `uid` can use.

    The directory may not exist yet, if it can be created; nothing is left behind.
    Raises StateDirError with a hint.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        _check_creatable(path)
        return f"{path} (does not exist yet; it will be created)"
    except OSError as problem:
        raise _unusable(path, str(problem.strerror)) from problem
    if not stat.S_ISDIR(status.st_mode):
        raise _unusable(path, "is not a directory")
    if status.st_uid != uid:
        raise _unusable(path, f"belongs to user {status.st_uid}, you are user {uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _unusable(path, "other users can write to it", hint=f"chmod 700 {path}")
    kind = _file_system(path, mounts)
    if kind in _NETWORK:
        what = (
            f"is on a network file system ({kind}), where file locks are not reliable"
        )
        raise _unusable(path, what)
    _check_disk(path)
    return f"{path} ({_free_gib(path):.1f} GiB free)"


def _check_creatable(path: Path) -> None:
    from tempfile import TemporaryDirectory

    ancestor = next(parent for parent in path.parents if os.access(parent, os.F_OK))
    if not ancestor.is_dir():
        raise _unusable(path, f"cannot be created: {ancestor} is not a directory")
    try:
        # Only trying is reliable: permissions do not apply to root or to some file
        # systems.
        with TemporaryDirectory(dir=ancestor, prefix=".doctor-"):
            pass
    except OSError as problem:
        what = f"cannot be created in {ancestor}: {problem.strerror}"
        raise _unusable(path, what) from problem


def _check_disk(path: Path) -> None:
    from tempfile import NamedTemporaryFile

    try:
        with NamedTemporaryFile(dir=path, prefix=".doctor-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _can_lock(file.name):
                raise _unusable(
                    path, "its file system does not support file locks (flock)"
                )
    except OSError as problem:
        what = f"cannot be written to: {problem.strerror}"
        raise _unusable(path, what) from problem


def _can_lock(name: str) -> bool:
    with Path(name).open("rb") as rival:
        try:
            fcntl.flock(rival, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _file_system(path: Path, mounts: Sequence[Mount]) -> str:
    real = path.resolve()
    holders = [m for m in mounts if m.point in map(str, (real, *real.parents))]
    # If two mounts have the same mount point, the later one hides the earlier.
    return max(
        reversed(holders), key=lambda m: len(m.point), default=Mount("", "")
    ).kind


def _free_gib(path: Path) -> float:
    disk = os.statvfs(path)
    return float(disk.f_bavail * disk.f_frsize / 2**30)


def _unusable(path: Path, what: str, hint: str = _ELSEWHERE) -> StateDirError:
    return StateDirError(f"{path}: {what}", hint=hint)
