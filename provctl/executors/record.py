"""Owns reading an attempt's `go` file: fence, lock, and the exit record inside."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, Dict, Optional
from zlib import crc32

from provctl.core.requests import Ended
from provctl.errors import StateUnusable
from provctl.executors.exit_record import FROZEN, FROZEN_AT
from provctl.flock import is_locked, is_want

if TYPE_CHECKING:
    from provctl.executors.base import Place

__all__ = [
    "ended",
    "fence_off",
    "is_frozen",
    "is_running",
    "shim_pid",
    "wait_until_over",
]

_VOID = "void"  # what the fence of an attempt that never begins points to


def ended(place: Place) -> Optional[Ended]:
    """Return how the attempt ended, None if there is no whole exit record.

    Raises OSError where there is no descriptor to look with, as `is_running` does.
    """
    record = _exit_record(place)
    if record is None:
        return None
    problem = record["problem"]
    output = None
    if "output" in record and not problem:
        try:
            output = json.loads(record["output"])
        except (ValueError, RecursionError):
            problem = "what it returned is not JSON"
    return Ended(
        place.run,
        place.task,
        place.attempt,
        cause=record["cause"],
        exit_code=record.get("exit_code"),
        signal=record.get("signal"),
        started_at=round(record["started_at"], 6),
        finished_at=round(record["finished_at"], 6),
        cpu_s=record.get("cpu_s", 0.0),
        max_rss_bytes=record.get("max_rss_bytes", 0),
        survivors=record["survivors"],
        stuck=record.get("stuck", 0),
        log_dropped_bytes=record.get("log_dropped_bytes", 0),
        output=output,
        problem=problem,
        ran="status" in record,
    )


def _exit_record(place: Place) -> Optional[Dict[str, Any]]:
    try:
        raw = place.file("go").read_bytes()
    except OSError as problem:
        if is_want(problem):
            raise
        return None
    body, mark, seal = raw.rpartition(b',"crc":"')
    if not mark or seal != b'%08x"}\n' % crc32(body):
        return None
    record: Dict[str, Any] = json.loads(raw)
    return record


def is_running(place: Place) -> bool:
    """Whether the attempt's shim is alive and still has it."""
    return is_locked(place.file("go"))


def is_frozen(place: Place) -> bool:
    """Whether the shim that has the attempt keeps its processes stopped."""
    try:
        with place.file("go").open("rb") as file:
            file.seek(FROZEN_AT)
            return file.read(len(FROZEN)) == FROZEN and is_running(place)
    except OSError:
        return False


def wait_until_over(place: Place) -> bool:
    """Block until no shim has the attempt; return False at once if that cannot be."""
    try:
        fd = os.open(str(place.file("go")), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)
    return True


def fence_off(place: Place) -> bool:
    """Try to take the fence, so that the attempt never begins; whether we have it.

    A symbolic link has its content from its first moment on, so the fence's author
    is never in doubt. Raises StateUnusable if the disk takes nothing.
    """
    go = place.file("go")
    try:
        go.symlink_to(_VOID)
        fd = os.open(str(place.folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except FileExistsError:
        return go.is_symlink()
    except OSError as problem:
        message = f"{go}: {problem.strerror}"
        raise StateUnusable(message, hint="free space or mend the disk") from problem
    return True


def shim_pid(place: Place) -> Optional[int]:
    """Return the process that has the attempt; None when its file does not say.

    Raises OSError as `is_running` does.
    """
    try:
        with place.file("go").open("rb") as file:
            return int(file.readline(32))
    except ValueError:
        return None
    except OSError as problem:
        if is_want(problem):
            raise
        return None
