"""How the API says things: the envelope of answers, and of what went wrong."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, Optional, Tuple, Type

from provctl import errors

_USAGE = errors.UsageError.exit_code

# The first that fits counts.
_STATUS: Tuple[Tuple[Type[errors.ProvctlError], int], ...] = (
    (errors.UsageError, 400),
    (errors.NotFound, 404),
    (errors.RequestRejected, 409),
    (errors.DuplicateKey, 409),
    (errors.JournalDamaged, 409),
    (errors.JournalTooNew, 409),
    (errors.InvalidWorkflow, 422),
    (errors.MissingTool, 424),
    (errors.SchedulerUnreachable, 503),
    (errors.StateDirError, 507),
)

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


def as_json(value: Any) -> bytes:
    """Return a value as JSON in ASCII, without blanks."""
    return _encode(value).encode("ascii")


def success_body(data: bytes) -> bytes:
    """Return the body of a success around JSON that is encoded already."""
    return b'{"success":true,"data":' + data + b"}"


def status_of(problem: errors.ProvctlError) -> int:
    """Return the HTTP status of what went wrong."""
    return next((code for kind, code in _STATUS if isinstance(problem, kind)), 500)


def error_of(problem: errors.ProvctlError) -> bytes:
    """Return the body that says what went wrong, with the mistakes of a workflow.

    `more_mistakes` is the number of those that are left out.
    """
    more: Dict[str, Any] = {}
    if isinstance(problem, errors.InvalidWorkflow):
        more["more_mistakes"] = problem.others
        more["mistakes"] = [
            {
                "message": mistake.message,
                "line": mistake.line or None,
                "column": mistake.column or None,
                "source_line": mistake.source_line or None,
                "hint": mistake.hint or None,
            }
            for mistake in problem.mistakes
        ]
    return error_body(
        problem.message, hint=problem.hint, code=problem.exit_code, more=more
    )


def error_body(
    message: str,
    *,
    hint: Optional[str] = None,
    code: int = _USAGE,
    more: Optional[Mapping[str, Any]] = None,
) -> bytes:
    """Return the body of an answer that is no success; `code` is an exit code."""
    body = {"success": False, "error": message, "hint": hint, "code": code}
    return as_json({**body, **(more or {})})
