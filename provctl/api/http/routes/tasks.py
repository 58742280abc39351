"""The routes of tasks: list, show, and report progress."""

from __future__ import annotations

from typing import Any, Optional

from fastapi import APIRouter, Path, Query, Request, Response
from typing_extensions import Annotated

from provctl.api.http.backend import ListQuery
from provctl.api.http.responses import as_json, success_body
from provctl.api.http.routes.json_response import JSON, JsonResponse, service_of
from provctl.api.http.schemas import (
    RUN_ID,
    Ok,
    ProgressRequest,
    Status,
    TaskResponse,
    TasksResponse,
)
from provctl.core.engine.requests import ReportProgress

router = APIRouter(tags=["tasks"])

_RunId = Annotated[str, Path(pattern=RUN_ID, description="A run's id")]
_TaskId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,2000}$",
        description="A task's name, with slashes where workflows are nested",
    ),
]


@router.get("/tasks", response_model=TasksResponse, **JSON)
async def list_tasks(
    request: Request,
    status: Optional[Status] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    run: Annotated[Optional[str], Query(pattern=RUN_ID)] = None,
) -> Response:
    """List tasks: the latest runs first, then the order of the workflow file."""
    page = ListQuery(limit=limit, offset=offset, status=status, run=run)
    return JsonResponse(success_body(await service_of(request).tasks(page)))


@router.get("/tasks/{run}", response_model=TaskResponse, **JSON)
async def show_only_task(request: Request, run: _RunId) -> Response:
    """Show the task of a run with exactly one task."""
    return JsonResponse(success_body(await service_of(request).task(run, None)))


@router.get("/tasks/{run}/{task:path}", response_model=TaskResponse, **JSON)
async def show_task(request: Request, run: _RunId, task: _TaskId) -> Response:
    """Show a task, with its complete output."""
    return JsonResponse(success_body(await service_of(request).task(run, task)))


@router.post("/tasks/{run}/progress", response_model=Ok, **JSON)
async def report_progress_of_only_task(
    request: Request, run: _RunId, body: ProgressRequest
) -> Response:
    """Report the progress of a run with exactly one task."""
    return await _report(request, run, None, body)


@router.post("/tasks/{run}/{task:path}/progress", response_model=Ok, **JSON)
async def report_progress(
    request: Request, run: _RunId, task: _TaskId, body: ProgressRequest
) -> Response:
    """Report the progress of a running task. If reports come too fast, the last counts."""
    return await _report(request, run, task, body)


async def _report(
    request: Request, run: str, task: Any, body: ProgressRequest
) -> JsonResponse:
    service = service_of(request)
    name = await service.only_task(run) if task is None else task
    await service.control(ReportProgress(run, name, body.progress, body.message))
    return JsonResponse(success_body(as_json(f"{run}/{name}")))
