"""Owns what an owner of runs answers on its control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Type

from provctl.core.requests import FACTS, Request
from provctl.errors import UsageProblem

if TYPE_CHECKING:
    from provctl.scheduler.loop import Scheduler

__all__ = ["answer", "as_message"]

_KINDS: Dict[str, Type[Any]] = {kind.__name__.lower(): kind for kind in FACTS}


def as_message(request: Request) -> Dict[str, Any]:
    """Return a request as the record that travels."""
    return {"verb": type(request).__name__.lower(), **vars(request)}


def answer(scheduler: Scheduler, message: Mapping[str, Any]) -> Dict[str, Any]:
    """Do what a message asks; durable on return. Raises ProvctlError to refuse."""
    scheduler.request(_request_of(message))
    return {}


def _request_of(message: Mapping[str, Any]) -> Request:
    verb = message.get("verb", "")
    kind = _KINDS.get(verb) if isinstance(verb, str) else None
    if kind is None:
        problem = f"unknown verb {verb!r}"
        raise UsageProblem(problem)
    values = {key: value for key, value in message.items() if key != "verb"}
    for name, value in values.items():
        if not _fits(name, value):
            problem = f"{verb}: {name} cannot be {value!r}"
            raise UsageProblem(problem)
        if isinstance(value, list):
            values[name] = tuple(value)
    try:
        request: Request = kind(**values)
    except TypeError as error:
        problem = f"{verb}: {error}"
        raise UsageProblem(problem) from None
    return request


def _fits(name: str, value: Any) -> bool:
    if name == "tasks":
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    if name == "percent":
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value is None or is_number
    return isinstance(value, bool if name in _SWITCHES else str)


_SWITCHES = frozenset({"now", "freeze", "downstream"})
