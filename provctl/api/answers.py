"""Owns what routes have in common: the service they ask, and how they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, cast

from starlette.responses import Response

from provctl.api.envelope import as_json, problem_body
from provctl.api.shapes import Problem
from provctl.core.labels import conditions
from provctl.errors import UsageProblem

if TYPE_CHECKING:
    from starlette.requests import Request

    from provctl.api.service import Service
    from provctl.core.labels import Condition

__all__ = ["JSON", "Json", "conditions_of", "service_of", "submitted"]

# What every operation may answer besides a success.
JSON: Dict[str, Any] = {
    "responses": {
        "4XX": {"model": Problem, "description": "Refused"},
        "5XX": {"model": Problem, "description": "Not possible now"},
    }
}


_ANSWER_MAX = 16 << 20  # bytes


class Json(Response):
    """An answer that is JSON already. For one that is too large it says that, with 500."""

    media_type = "application/json"

    def __init__(
        self,
        content: bytes,
        status_code: int = 200,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        if len(content) > _ANSWER_MAX:
            message = f"the answer is larger than {_ANSWER_MAX >> 20} MiB"
            hint = "ask for less of it: lists have limit and offset, GET /tasks has run"
            content, status_code = problem_body(message, hint=hint, code=1), 500
        super().__init__(content, status_code, headers)


def service_of(request: Request) -> Service:
    """Return whoever has the runs."""
    return cast("Service", request.app.state.service)


def conditions_of(label: Optional[str]) -> Tuple[Condition, ...]:
    """Return what a query such as "env=prod,!draft" asks of labels. Raises UsageProblem."""
    try:
        return conditions(label) if label is not None else ()
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None


def submitted(run_id: str) -> Json:
    """Return the answer for a run that was queued."""
    body = {"success": True, "data": run_id, "workflow_id": run_id, "status": "queued"}
    return Json(as_json(body), status_code=202)
