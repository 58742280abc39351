"""Owns the routes of tasks: lists, one, and its progress."""

from __future__ import annotations

from typing import Any, Optional

from fastapi import APIRouter, Path, Query, Request, Response
from typing_extensions import Annotated

from provctl.api.answers import JSON, Json, service_of
from provctl.api.envelope import as_json, enveloped
from provctl.api.service import Page
from provctl.api.shapes import (
    RUN_ID,
    Done,
    ProgressBody,
    Status,
    TaskAnswer,
    TasksAnswer,
)
from provctl.core.requests import ReportProgress

__all__ = ["router"]

router = APIRouter(tags=["tasks"])

_RunId = Annotated[str, Path(pattern=RUN_ID, description="A run's id")]
_TaskId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,2000}$",
        description="A task's name, with slashes where workflows are nested",
    ),
]


@router.get("/tasks", response_model=TasksAnswer, **JSON)
async def list_tasks(
    request: Request,
    status: Optional[Status] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    run: Annotated[Optional[str], Query(pattern=RUN_ID)] = None,
) -> Response:
    """List tasks, those of the latest runs first, in the order of their files."""
    page = Page(limit=limit, offset=offset, status=status, run=run)
    return Json(enveloped(await service_of(request).tasks(page)))


@router.get("/tasks/{run}", response_model=TaskAnswer, **JSON)
async def show_only_task(request: Request, run: _RunId) -> Response:
    """Return the task of a run that has exactly one."""
    return Json(enveloped(await service_of(request).task(run, None)))


@router.get("/tasks/{run}/{task:path}", response_model=TaskAnswer, **JSON)
async def show_task(request: Request, run: _RunId, task: _TaskId) -> Response:
    """Return one task, with its whole output."""
    return Json(enveloped(await service_of(request).task(run, task)))


@router.post("/tasks/{run}/progress", response_model=Done, **JSON)
async def report_progress_of_only_task(
    request: Request, run: _RunId, body: ProgressBody
) -> Response:
    """Say how far the task of a run is that has exactly one."""
    return await _report(request, run, None, body)


@router.post("/tasks/{run}/{task:path}/progress", response_model=Done, **JSON)
async def report_progress(
    request: Request, run: _RunId, task: _TaskId, body: ProgressBody
) -> Response:
    """Say how far a running task is; of what comes too fast the last is kept."""
    return await _report(request, run, task, body)


async def _report(request: Request, run: str, task: Any, body: ProgressBody) -> Json:
    service = service_of(request)
    name = await service.only_task(run) if task is None else task
    await service.control(ReportProgress(run, name, body.progress, body.message))
    return Json(enveloped(as_json(f"{run}/{name}")))
