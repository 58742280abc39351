"""What routes have in common: the backend, and the format of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, cast

from starlette.responses import Response

from provctl.api.http.responses import as_json, error_body
from provctl.api.http.schemas import Problem
from provctl.core.model.labels import conditions
from provctl.errors import UsageError

if TYPE_CHECKING:
    from starlette.requests import Request

    from provctl.api.http.backend import SchedulerBackend
    from provctl.core.model.labels import Condition


# The error responses of every operation.
JSON: Dict[str, Any] = {
    "responses": {
        "4XX": {"model": Problem, "description": "Refused"},
        "5XX": {"model": Problem, "description": "Not possible now"},
    }
}


_ANSWER_MAX = 16 << 20  # bytes


class JsonResponse(Response):
    """A response that is already JSON; a too large one becomes an error 500."""

    media_type = "application/json"

    def __init__(
        self,
        content: bytes,
        status_code: int = 200,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        if len(content) > _ANSWER_MAX:
            message = f"the answer is larger than {_ANSWER_MAX >> 20} MiB"
            hint = "request less: lists have limit and offset, GET /tasks has run"
            content, status_code = error_body(message, hint=hint, code=1), 500
        super().__init__(content, status_code, headers)


def service_of(request: Request) -> SchedulerBackend:
    """Return the backend."""
    return cast("SchedulerBackend", request.app.state.service)


def conditions_of(label: Optional[str]) -> Tuple[Condition, ...]:
    """Return the conditions of a query like "env=prod,!draft". Raises UsageError."""
    try:
        return conditions(label) if label is not None else ()
    except ValueError as problem:
        raise UsageError(str(problem)) from None


def submitted(run_id: str) -> JsonResponse:
    """Return the response for a queued run."""
    body = {"success": True, "data": run_id, "workflow_id": run_id, "status": "queued"}
    return JsonResponse(as_json(body), status_code=202)
