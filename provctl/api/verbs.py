"""Owns what an owner of runs answers on its control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Type

from provctl.core.requests import Cancel, Request, Resolve
from provctl.errors import UsageProblem

if TYPE_CHECKING:
    from provctl.scheduler.loop import Scheduler

__all__ = ["answer", "as_message"]


def as_message(request: Request) -> Dict[str, Any]:
    """Return a request as the record that travels."""
    verb = "cancel" if isinstance(request, Cancel) else "resolve"
    return {"verb": verb, **vars(request)}


def answer(scheduler: Scheduler, message: Mapping[str, Any]) -> Dict[str, Any]:
    """Do what a message asks; durable on return. Raises ProvctlError to refuse."""
    scheduler.request(_request_of(message))
    return {}


def _request_of(message: Mapping[str, Any]) -> Request:
    values = {key: value for key, value in message.items() if key != "verb"}
    kinds: Dict[str, Type[Request]] = {"cancel": Cancel, "resolve": Resolve}
    kind = kinds.get(message.get("verb", ""))
    if kind is None:
        problem = f"unknown verb {message.get('verb')!r}"
        raise UsageProblem(problem)
    try:
        return kind(**values)
    except TypeError as error:
        problem = f"{message['verb']}: {error}"
        raise UsageProblem(problem) from None
