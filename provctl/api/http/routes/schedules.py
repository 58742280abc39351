"""The routes of schedules: list, show, add, remove, and control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from fastapi import APIRouter, Header, Path, Query, Request, Response
from typing_extensions import Annotated

from provctl.api.http.backend import ListQuery, NewSchedule
from provctl.api.http.responses import as_json, success_body
from provctl.api.http.routes.json_response import (
    JSON,
    JsonResponse,
    conditions_of,
    service_of,
    submitted,
)
from provctl.api.http.schemas import (
    Ok,
    ReasonRequest,
    ScheduleRequest,
    ScheduleResponse,
    ScheduleRunRequest,
    SchedulesResponse,
    Submitted,
)

if TYPE_CHECKING:
    from provctl.api.http.backend import ScheduleBackend


router = APIRouter(prefix="/schedules", tags=["schedules"])

_Name = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="A schedule's name"),
]
_Key = Annotated[Optional[str], Header(alias="Idempotency-Key", max_length=200)]
_ADDED: Dict[str, Any] = {
    "responses": {
        200: {
            "model": ScheduleResponse,
            "description": "It already existed and is identical",
        },
        **JSON["responses"],
    }
}


@router.get("", response_model=SchedulesResponse, **JSON)
async def list_schedules(
    request: Request,
    label: Annotated[Optional[str], Query(max_length=2000)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> Response:
    """List schedules by name. `label` filters by the labels of their runs."""
    page = ListQuery(limit=limit, offset=offset, labels=conditions_of(label))
    return JsonResponse(success_body(await _schedules(request).all(page)))


@router.get("/{name}", response_model=ScheduleResponse, **JSON)
async def show_schedule(request: Request, name: _Name) -> Response:
    """Show a schedule: its next times, and the results of the last ones."""
    return JsonResponse(success_body(await _schedules(request).one(name)))


@router.put("/{name}", response_model=ScheduleResponse, status_code=201, **_ADDED)
async def add_schedule(
    request: Request, name: _Name, body: ScheduleRequest
) -> Response:
    """Add a schedule; the same request twice adds one.

    The workflow is already evaluated, as in /workflows/submit, and is stored. The
    request is refused if a different schedule has the name.
    """
    schedule = NewSchedule(name, await request.body(), body.model_dump())
    is_new = await _schedules(request).add(schedule)
    status = 201 if is_new else 200
    return JsonResponse(
        success_body(await _schedules(request).one(name)), status_code=status
    )


@router.delete("/{name}", response_model=Ok, **JSON)
async def remove_schedule(request: Request, name: _Name) -> Response:
    """Remove a schedule. Its runs remain, and active ones continue."""
    await _schedules(request).remove(name)
    return _done(name)


@router.post("/{name}/pause", response_model=Ok, **JSON)
async def pause_schedule(
    request: Request, name: _Name, body: Optional[ReasonRequest] = None
) -> Response:
    """Pause a schedule: submit nothing until it is resumed."""
    await _schedules(request).pause(name, (body or ReasonRequest()).reason)
    return _done(name)


@router.post("/{name}/resume", response_model=Ok, **JSON)
async def resume_schedule(
    request: Request, name: _Name, body: Optional[ReasonRequest] = None
) -> Response:
    """Resume a paused schedule. Times that passed in the meantime are not caught up."""
    await _schedules(request).resume(name, (body or ReasonRequest()).reason)
    return _done(name)


@router.post("/{name}/run", response_model=Submitted, status_code=202, **JSON)
async def run_schedule(
    request: Request,
    name: _Name,
    body: Optional[ScheduleRunRequest] = None,
    key: _Key = None,
) -> Response:
    """Submit the workflow of a schedule now, even if another run of it is active."""
    labels = (body or ScheduleRunRequest()).labels
    return submitted(await _schedules(request).run(name, key, labels))


def _schedules(request: Request) -> ScheduleBackend:
    return service_of(request).schedules


def _done(name: str) -> JsonResponse:
    return JsonResponse(success_body(as_json(name)))
