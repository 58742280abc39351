"""The routes of workflows: submit, list, show, events, and control."""

from __future__ import annotations

from typing import Any, Dict, Optional

from fastapi import APIRouter, Header, Path, Query, Request, Response
from typing_extensions import Annotated

from provctl.api.http.backend import LibraryCall, ListQuery, Submission
from provctl.api.http.responses import as_json, success_body
from provctl.api.http.routes.json_response import (
    JSON,
    JsonResponse,
    conditions_of,
    service_of,
    submitted,
)
from provctl.api.http.schemas import (
    RUN_ID,
    CallRequest,
    CancelRequest,
    Ok,
    PauseRequest,
    ReasonRequest,
    RetryRequest,
    RollbackRequest,
    RunResponse,
    RunsResponse,
    Submitted,
)
from provctl.api.http.sse import EventStream
from provctl.core.engine.requests import Cancel, Pause, Resume, RetryRun, Rollback
from provctl.errors import UsageError

router = APIRouter(tags=["workflows"])

_EVENTS: Dict[str, Any] = {
    "responses": {
        200: {
            "content": {"text/event-stream": {}},
            "description": "Events, as server-sent events",
        },
        204: {"description": "The run has finished and there are no more events"},
        **JSON["responses"],
    },
    "response_class": Response,
}
_WORKFLOW: Dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_Key = Annotated[Optional[str], Header(alias="Idempotency-Key", max_length=200)]
_RunId = Annotated[str, Path(pattern=RUN_ID, description="A run's id")]
_Word = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


@router.get("/workflows", response_model=RunsResponse, **JSON)
async def list_workflows(
    request: Request,
    status: Annotated[Optional[str], Query(max_length=40)] = None,
    label: Annotated[Optional[str], Query(max_length=2000)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> Response:
    """List runs, the latest first. `status` is a status or an outcome.

    `label` filters by labels: "env=prod,team!=web,ci,!draft".
    """
    labels = conditions_of(label)
    page = ListQuery(limit=limit, offset=offset, status=status, labels=labels)
    return JsonResponse(success_body(await service_of(request).runs(page)))


@router.get("/workflows/{run}", response_model=RunResponse, **JSON)
async def show_workflow(request: Request, run: _RunId) -> Response:
    """Show a run and its tasks."""
    return JsonResponse(success_body(await service_of(request).run(run)))


@router.get("/workflows/{run}/events", **_EVENTS)
async def follow_workflow(
    request: Request,
    run: _RunId,
    last: Annotated[Optional[str], Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Stream the events of a run, from the first one or after Last-Event-ID."""
    if last is not None and not (last.isascii() and last.isdigit() and len(last) < 16):
        message = f"Last-Event-ID: {last[:40]!r} is not the id of an event of a run"
        raise UsageError(message)
    feed = await service_of(request).follow(run, int(last or 0))
    return Response(status_code=204) if feed is None else EventStream(feed)


@router.get("/events", **_EVENTS)
async def follow_everything(
    request: Request,
    last: Annotated[Optional[str], Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Stream the events of all runs, from now on or after Last-Event-ID.

    An event `reset` means that events were missed: request the state again.
    """
    return EventStream(await service_of(request).stream_all_events(last))


@router.post(
    "/workflows/submit",
    response_model=Submitted,
    status_code=202,
    openapi_extra=_WORKFLOW,
    **JSON,
)
async def submit_workflow(request: Request, key: _Key = None) -> Response:
    """Submit a workflow that is already evaluated: JSON as in a workflow file.

    It can be wrapped: {"workflow": {...}, "params": {...}, "key": "...",
    "priority": 0, "labels": {...}}. The same key again returns the existing run.
    """
    submission = Submission(await request.body(), key)
    return submitted(await service_of(request).submit(submission))


@router.post("/workflows/{run}/cancel", response_model=Ok, **JSON)
async def cancel_workflow(
    request: Request, run: _RunId, body: Optional[CancelRequest] = None
) -> Response:
    """Cancel a run: stop its tasks, and kill them after the grace period."""
    sent = body or CancelRequest()
    return await _control(request, Cancel(run, sent.reason, sent.now))


@router.post("/workflows/{run}/pause", response_model=Ok, **JSON)
async def pause_workflow(
    request: Request, run: _RunId, body: Optional[PauseRequest] = None
) -> Response:
    """Pause a run: start no further tasks."""
    sent = body or PauseRequest()
    return await _control(request, Pause(run, sent.freeze, sent.reason))


@router.post("/workflows/{run}/resume", response_model=Ok, **JSON)
async def resume_workflow(
    request: Request, run: _RunId, body: Optional[ReasonRequest] = None
) -> Response:
    """Resume a paused run."""
    return await _control(request, Resume(run, (body or ReasonRequest()).reason))


@router.post("/workflows/{run}/retry", response_model=Ok, **JSON)
async def retry_workflow(
    request: Request, run: _RunId, body: Optional[RetryRequest] = None
) -> Response:
    """Retry the tasks that did not succeed, or the tasks in the request."""
    sent = body or RetryRequest()
    names = tuple(sent.tasks)
    return await _control(request, RetryRun(run, names, sent.downstream, sent.reason))


@router.post("/workflows/{run}/rollback", response_model=Ok, **JSON)
async def roll_workflow_back(
    request: Request, run: _RunId, body: Optional[RollbackRequest] = None
) -> Response:
    """Roll a finished run back."""
    sent = body or RollbackRequest()
    return await _control(request, Rollback(run, sent.to, sent.reason))


@router.post(
    "/workflows/{noun}/{verb}", response_model=Submitted, status_code=202, **JSON
)
async def call_library(
    request: Request, noun: _Word, verb: _Word, body: CallRequest, key: _Key = None
) -> Response:
    """Submit a command of the Nushell library as a run of one task."""
    call = LibraryCall(noun, verb, body.model_dump(exclude_unset=True), key)
    return submitted(await service_of(request).call(call))


async def _control(request: Request, command: Any) -> JsonResponse:
    await service_of(request).control(command)
    return JsonResponse(success_body(as_json(command.run)))
