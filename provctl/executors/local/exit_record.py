"""Writes an exit record: reserves space, then stores content and checksum.

`executors.local.attempt_file` reads it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from zlib import crc32

from provctl.base.redact import redact_bytes, redact_json
from provctl.base.resource_exhaustion import is_resource_exhaustion
from provctl.base.safe_open import reader

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    from typing import Any, Dict, List


_RESERVED = 4096  # bytes reserved for the exit record
_BLOCK = 512  # bytes; the unit of getrusage(2) for disks
FROZEN_AT = 32  # where `go` marks the attempt as frozen, until it is sealed
FROZEN = b"frozen"


def reserve(record: int) -> None:
    """Reserve space for the exit record, with the id of the attempt. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(record, 0, _RESERVED)
    os.write(record, (b"%d\n" % os.getpid()).ljust(_RESERVED, b"\0"))


def note_frozen(record: int, *, frozen: bool) -> None:
    """Show in the file whether the attempt is frozen."""
    try:
        os.pwrite(record, FROZEN if frozen else bytes(len(FROZEN)), FROZEN_AT)
    except OSError:
        pass  # for display; a new owner that does not see it repeats the request


def add_status(result: Dict[str, Any], status: int, usage: Any) -> None:
    """Add how the main process ended and what it used."""
    result["status"] = status
    if os.WIFSIGNALED(status):
        result["signal"] = os.WTERMSIG(status)
    else:
        result["exit_code"] = os.WEXITSTATUS(status)
    if usage is not None:
        unit = 1 if sys.platform == "darwin" else 1024
        result["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 6)
        result["max_rss_bytes"] = usage.ru_maxrss * unit
        result["read_bytes"] = usage.ru_inblock * _BLOCK
        result["written_bytes"] = usage.ru_oublock * _BLOCK


def add_output(
    result: Dict[str, Any], path: str, most: int, forms: List[bytes]
) -> None:
    """Move the task's output from its file to the record."""
    try:
        data = _take(path, most)
    except FileNotFoundError:
        return
    except OSError as error:
        result["problem"] = f"its output cannot be read: {error.strerror}"
        return
    if len(data) > most:
        result["problem"] = f"its output is larger than {most} bytes"
        return
    text = data.decode("utf-8", "replace")
    result["output"] = redact_json(text, forms) if forms else text


def _take(path: str, most: int) -> bytes:
    while True:
        try:
            with reader(path) as file:
                data = file.read(most + 1)
        except OSError as error:
            if not is_resource_exhaustion(error):
                raise
            time.sleep(1)  # the file exists and no other process uses it
        else:
            break
    os.unlink(path)
    return data


def redact_problem(result: Dict[str, Any], forms: List[bytes]) -> None:
    """Redact secrets in the problem of the attempt."""
    raw = result["problem"].encode("utf-8", "surrogatepass")
    result["problem"] = redact_bytes(raw, forms).decode("utf-8", "replace")


def store(record: int, result: Dict[str, Any]) -> bytes:
    """Make the exit record durable, and return it.

    Retries forever, because nothing else knows the result.
    """
    while True:
        try:
            body = json.dumps(result, separators=(",", ":"))[:-1].encode("ascii")
            data = body + b',"crc":"%08x"}\n' % crc32(body)
            written = os.pwrite(record, data, 0)
            while written < len(data):
                written += os.pwrite(record, data[written:], written)
            os.ftruncate(record, len(data))
            os.fsync(record)
        except OSError:
            # The reserved bytes are enough for a record without output.
            if result.pop("output", None) is not None:
                result["problem"] = "its output was lost because the disk was full"
            time.sleep(1)
        else:
            return data
