"""The format of responses: the envelope, and errors."""

from __future__ import annotations

import json
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Type,
)

from provctl import errors

_USAGE = errors.UsageError.exit_code

# The first matching class counts.
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
    """Return the body of a success response around encoded JSON."""
    return b'{"success":true,"data":' + data + b"}"


def status_of(problem: errors.ProvctlError) -> int:
    """Return the HTTP status for an error."""
    return next((code for kind, code in _STATUS if isinstance(problem, kind)), 500)


def error_of(problem: errors.ProvctlError) -> bytes:
    """Return the body of an error response, with the mistakes of a workflow.

    `more_mistakes` is the number of mistakes that are left out.
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
    """Return the body of an error response; `code` is an exit code."""
    body = {"success": False, "error": message, "hint": hint, "code": code}
    return as_json({**body, **(more or {})})


class Refusal(NamedTuple):
    """The reason to refuse a request and to close its connection."""

    status: int
    message: str
    hint: Optional[str] = None

    @property
    def body(self) -> bytes:
        """The body of the response."""
        return error_body(self.message, hint=self.hint)

    @property
    def headers(self) -> List[Tuple[bytes, bytes]]:
        """The headers of the response. The rest of the request is not read."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"connection", b"close"),
        ]
        if self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


async def send_refusal(
    send: Callable[[Any], Awaitable[None]], refusal: Refusal
) -> None:
    """Send a refusal, as an ASGI app does."""
    start = {"type": "http.response.start", "status": refusal.status}
    await send({**start, "headers": refusal.headers})
    await send({"type": "http.response.body", "body": refusal.body})


def has_body(headers: Iterable[Tuple[bytes, bytes]]) -> bool:
    """Whether a body follows a head."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )
