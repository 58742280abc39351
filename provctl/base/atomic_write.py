"""Writes a named file completely, or not at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from provctl.base.stdio import fd_of_path


def write_whole(path: Path, content: bytes) -> None:
    """Write a temporary file, then rename it over the target; a link is followed.

    A new file is readable only by its owner, whatever the umask; an existing file keeps
    its mode. Targets that are not regular files, such as /dev/stdout, are written to
    and never replaced. Raises OSError with the name of the target.
    """
    try:
        _write_whole(path, content)
    except OSError as problem:
        problem.filename = str(path)
        raise


def _write_whole(path: Path, content: bytes) -> None:
    inherited = fd_of_path(path)
    if inherited is not None:
        sys.stdout.flush()
        with open(inherited, "wb", closefd=False) as stream:  # no path
            stream.write(content)
        return
    target = Path(os.path.realpath(str(path)))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        there = target.stat()
    except FileNotFoundError:
        there = None
    if there is not None and not stat.S_ISREG(there.st_mode):
        with path.open("wb") as device:
            device.write(content)
        return
    # Not named by the pid: in a container the next process has the same one.
    aside = target.with_name(f".provctl-{os.urandom(8).hex()}")
    draft = os.fdopen(os.open(str(aside), flags, 0o600), "wb")
    try:
        with draft:
            if there is not None:
                os.fchmod(draft.fileno(), stat.S_IMODE(there.st_mode) & 0o777)
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink()
        raise
