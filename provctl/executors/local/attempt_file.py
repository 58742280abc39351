"""Reads the `go` file of an attempt: fence, lock and exit record."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, Dict, Optional, Union
from zlib import crc32

from provctl.base.flock import is_locked
from provctl.base.resource_exhaustion import is_resource_exhaustion
from provctl.base.safe_open import ForeignFile, open_own, read_own, reader
from provctl.core.engine.requests import ExitedReport, NeverStartedReport
from provctl.core.model.attempt_result import RESULT_FIELDS, AttemptResult
from provctl.errors import JournalDamaged, StateDirError
from provctl.executors.local.exit_record import FROZEN, FROZEN_AT

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef


_VOID = "void"  # target of the fence of an attempt that never starts


def read_exit_record(
    place: AttemptRef,
) -> Optional[Union[ExitedReport, NeverStartedReport]]:
    """Return how the attempt ended; None if there is no whole exit record.

    NeverStartedReport means that nothing was started because of a shortage.

    Raises OSError if no descriptor is free, as `is_running` does, and JournalDamaged if
    the file was not written by provctl or belongs to another attempt.
    """
    go = place.file("go")
    try:
        raw = read_own(go)
    except OSError as problem:
        if is_resource_exhaustion(problem):
            raise
        if isinstance(problem, ForeignFile) and not go.is_symlink():
            message = f"{go}: {problem.strerror}"
            raise JournalDamaged(message, hint="nothing was changed") from problem
        return None
    return parse_exit_record(raw, place)


def parse_exit_record(
    raw: bytes, place: AttemptRef
) -> Optional[Union[ExitedReport, NeverStartedReport]]:
    """Return how the attempt ended by its exit record; None if it is not whole.

    Raises JournalDamaged for the record of another attempt.
    """
    record = _record(raw, place)
    if record is None:
        return None
    problem = record["problem"]
    if record.get("shortage"):
        return NeverStartedReport(
            place.run, place.task, place.attempt, problem, shortage=True
        )
    output = None
    if "output" in record and not problem:
        try:
            output = json.loads(record["output"])
        except (ValueError, RecursionError):
            problem = "its output is not valid JSON"
    return ExitedReport(
        place.run,
        place.task,
        place.attempt,
        cause=record["cause"],
        result=_result(record),
        output=output,
        problem=problem,
    )


def _result(record: Dict[str, Any]) -> AttemptResult:
    measured = {name: record[name] for name in RESULT_FIELDS if name in record}
    measured["started_at"] = round(record["started_at"], 6)
    measured["finished_at"] = round(record["finished_at"], 6)
    measured["ran"] = "status" in record
    return AttemptResult(**measured)


def _record(raw: bytes, place: AttemptRef) -> Optional[Dict[str, Any]]:
    body, mark, seal = raw.rpartition(b',"crc":"')
    if not mark or seal != b'%08x"}\n' % crc32(body):
        return None
    record: Dict[str, Any] = json.loads(raw)
    # Earlier versions did not write the id of the attempt.
    if record.get("id", place.mark) != place.mark:
        go = place.file("go")
        message = f"{go}: this is the exit record of {record['id']}"
        raise JournalDamaged(message, hint="nothing was changed")
    return record


def is_running(place: AttemptRef) -> bool:
    """Whether the attempt's shim is alive and still supervises it."""
    return is_locked(place.file("go"))


def is_frozen(place: AttemptRef) -> bool:
    """Whether the attempt's shim keeps its processes suspended."""
    try:
        with reader(place.file("go")) as file:
            file.seek(FROZEN_AT)
            return file.read(len(FROZEN)) == FROZEN and is_running(place)
    except OSError:
        return False


def wait_for_unlock(place: AttemptRef) -> bool:
    """Block until no shim has the attempt; return False at once if that fails."""
    try:
        fd = open_own(place.file("go"))
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)
    return True


def take_fence(place: AttemptRef) -> bool:
    """Try to take the fence, so that the attempt never starts; return whether taken.

    A symbolic link has its content from the moment it exists, so it is always clear who
    took the fence. Raises StateDirError if the disk cannot be written to, OSError if it
    is only full or no descriptor is free.
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
        return go.is_symlink() and os.readlink(go) == _VOID
    except OSError as problem:
        if is_resource_exhaustion(problem):
            raise
        message = f"{go}: {problem.strerror}"
        raise StateDirError(
            message, hint="free disk space or repair the disk"
        ) from problem
    return True


def has_evidence(place: AttemptRef) -> bool:
    """Whether files exist that only a shim that passed the fence creates.

    If they do and the fence is free or void, the attempt did start: its attempt file
    was removed.
    """
    return any(os.path.lexists(place.file(name)) for name in ("in", "log", "out"))


def shim_pid(place: AttemptRef) -> Optional[int]:
    """Return the pid of the attempt's shim; None if its file does not give it.

    Raises OSError as `is_running` does.
    """
    try:
        with reader(place.file("go")) as file:
            return int(file.readline(32))
    except ValueError:
        return None
    except OSError as problem:
        if is_resource_exhaustion(problem):
            raise
        return None
