"""Sends requests to an owner of runs: the command's end of the control socket.

It does not import asyncio, because commands must be fast; `api.control.server` is the
other end.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Dict, Mapping, Type

from provctl import __version__, errors
from provctl.base.unix_socket import with_short_path

if TYPE_CHECKING:
    from pathlib import Path


def call(path: Path, request: Mapping[str, Any], *, timeout_s: float) -> Dict[str, Any]:
    """Send a request and return the response.

    Raises the error that the owner returned, and SchedulerUnreachable if there is no
    response within `timeout_s` seconds.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            with_short_path(path, sock.connect)
            sock.sendall(json.dumps(request).encode("ascii") + b"\n")
            answer = _answer_in(sock.makefile("rb").readline())
    except (OSError, ValueError) as problem:
        message = f"no answer at {path}"
        raise errors.SchedulerUnreachable(
            message, hint="start the scheduler: provctl scheduler start"
        ) from problem
    if answer.pop("ok"):
        return answer
    kind = _BY_EXIT_CODE.get(answer["exit_code"], errors.ProvctlError)
    theirs = answer.get("version", "")
    if kind is errors.UsageError and theirs != __version__:
        # What a command sends is valid for an owner of its own version.
        message = (
            f"the owner, of version {theirs or '?'}, does not support this command, of"
            f" version {__version__}: {answer['error']}"
        )
        hint = (
            "to update it: provctl scheduler restart (running tasks are not affected)"
        )
        raise errors.SchedulerUnreachable(message, hint=hint)
    raise kind(answer["error"], hint=answer["hint"])


def _answer_in(line: bytes) -> Dict[str, Any]:
    """Raises ValueError for an invalid response."""
    answer = json.loads(line)
    if not isinstance(answer, dict) or "ok" not in answer:
        message = "not an answer"
        raise ValueError(message)
    if not answer["ok"] and not {"error", "hint", "exit_code"} <= answer.keys():
        message = "not a refusal"
        raise ValueError(message)
    return answer


_BY_EXIT_CODE: Dict[int, Type[errors.ProvctlError]] = {
    kind.exit_code: kind
    for kind in (
        errors.UsageError,
        errors.NotFound,
        errors.RequestRejected,
        errors.StateDirError,
        errors.JournalTooNew,
        errors.JournalDamaged,
    )
}
