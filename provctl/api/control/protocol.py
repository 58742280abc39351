"""The protocol of the control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Type

from provctl.core.engine import requests as rq
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.scheduler.loop import Scheduler


_REQUESTS: Dict[str, Type[Any]] = {
    "cancel": rq.Cancel,
    "resolve": rq.ResolveTask,
    "pause": rq.Pause,
    "resume": rq.Resume,
    "retry": rq.RetryRun,
    "rollback": rq.Rollback,
    "reportprogress": rq.ReportProgress,
}
_NAMES = {kind: name for name, kind in _REQUESTS.items()}


def encode_request(request: rq.Request) -> Dict[str, Any]:
    """Return a request as the record to send."""
    return {"verb": _NAMES[type(request)], **vars(request)}


async def handle(scheduler: Scheduler, message: Mapping[str, Any]) -> Dict[str, Any]:
    """Handle a message; durable on return. Raises ProvctlError to refuse it."""
    await scheduler.request(_request_of(message))
    return {}


def _request_of(message: Mapping[str, Any]) -> rq.Request:
    verb = message.get("verb", "")
    kind = _REQUESTS.get(verb) if isinstance(verb, str) else None
    if kind is None:
        problem = f"unknown verb {verb!r}"
        raise UsageError(problem)
    values = {key: value for key, value in message.items() if key != "verb"}
    for name, value in values.items():
        if not _fits(name, value):
            problem = f"{verb}: {name} cannot be {value!r}"
            raise UsageError(problem)
        if isinstance(value, list):
            values[name] = tuple(value)
    try:
        request: rq.Request = kind(**values)
    except TypeError as error:
        problem = f"{verb}: {error}"
        raise UsageError(problem) from None
    return request


def _fits(name: str, value: Any) -> bool:
    if name == "tasks":
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    if name == "percent":
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value is None or is_number
    return isinstance(value, bool if name in _SWITCHES else str)


_SWITCHES = frozenset({"now", "freeze", "downstream"})
