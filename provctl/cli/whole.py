"""Owns writing a file that somebody named: whole, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file aside, then put it into its place; what a link leads to changes.

    `mode` is that of a new file, less the umask; one that is there keeps its own. What
    is no file, such as /dev/stdout, is written to and never replaced. Raises OSError,
    of the file that was named.
    """
    try:
        _write_whole(path, content, mode)
    except OSError as problem:
        problem.filename = str(path)
        raise


def _write_whole(path: Path, content: bytes, mode: int) -> None:
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
    # Not by the process: in a container the next one has the same number.
    aside = target.with_name(f".provctl-{os.urandom(8).hex()}")
    draft = os.fdopen(os.open(str(aside), flags, mode), "wb")
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
