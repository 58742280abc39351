"""The shapes that the OpenAPI document describes: bodies and answers."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated, Literal

RUN_ID = r"^[a-z][a-z0-9-]{3,63}$"
Status = Literal["Pending", "Running", "Completed", "Failed", "Cancelled"]
_Labels = Annotated[Dict[str, str], Field(max_length=32)]
_Reason = Annotated[str, Field(max_length=1000)]


class _Body(BaseModel):
    """What is sent: nothing in it is guessed, and nothing passed over."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ProgressRequest(_Body):
    """How far a running task is."""

    progress: Annotated[int, Field(ge=0, le=100)]
    status: Literal["in_progress"] = "in_progress"
    message: Annotated[str, Field(max_length=1000)] = ""


class ReasonRequest(_Body):
    """Why, for the journal."""

    reason: _Reason = ""


class CancelRequest(ReasonRequest):
    """`now`: kill at once, without grace."""

    now: bool = False


class PauseRequest(ReasonRequest):
    """`freeze`: stop running tasks too."""

    freeze: bool = False


class RetryRequest(ReasonRequest):
    """The tasks to run again, none for all that did not succeed."""

    tasks: Annotated[List[str], Field(max_length=10_000)] = []
    downstream: bool = False


class RollbackRequest(ReasonRequest):
    """`to`: only what came after this task is undone."""

    to: str = ""


class CallRequest(BaseModel):
    """What a command of the library is called with."""

    model_config = ConfigDict(extra="forbid")

    type: Optional[str] = None
    infra: Optional[str] = None
    settings: Optional[Any] = None
    wait: Optional[bool] = None
    params: Dict[str, Any] = {}
    labels: _Labels = {}


class ScheduleRequest(_Body):
    """When a workflow is to be submitted, and the workflow itself, evaluated already.

    `cron` is meant in `time_zone`, or that of the scheduler. `catch_up`: which of the
    times that nobody was there for are made up for. `overlap`: what if the run before
    has not ended.
    """

    cron: Annotated[str, Field(min_length=1, max_length=200)]
    workflow: Dict[str, Any]
    params: Dict[str, Any] = {}
    time_zone: Annotated[Optional[str], Field(max_length=100)] = None
    catch_up: Literal["none", "latest", "all"] = "latest"
    overlap: Literal["skip", "queue", "allow"] = "skip"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    max_parallel: Annotated[Optional[int], Field(ge=1, le=1_000_000)] = None
    fail_fast: bool = False
    labels: _Labels = {}


class ScheduleRunRequest(_Body):
    """Labels that the run gets beside those of its schedule."""

    labels: _Labels = {}


class Health(BaseModel):
    """The scheduler answers."""

    status: Literal["healthy"]
    success: Literal[True]
    data: str
    version: str


class Problem(BaseModel):
    """What went wrong; `code` is the exit code of the command that does the same."""

    success: Literal[False]
    error: str
    hint: Optional[str]
    code: int
    mistakes: Optional[List[Dict[str, Any]]] = None
    more_mistakes: Optional[int] = None


class _Task(BaseModel):
    id: str
    name: str
    command: str
    args: List[str]
    dependencies: List[str]
    status: Status
    created_at: Optional[str]
    started_at: Optional[str]
    completed_at: Optional[str]
    finished_at: Optional[str]
    retry_at: Optional[str]
    output: Any
    error: Optional[str]
    progress: float
    message: str
    run: str
    state: str
    outcome: Optional[str]
    attempts: int
    purpose: str
    finalizer: bool
    reason: str
    stale: bool
    frozen: bool
    exit_code: Optional[int]
    signal: Optional[int]
    cpu_s: float
    max_rss_bytes: int
    read_bytes: int
    written_bytes: int
    survivors: int
    stuck: int
    log_dropped_bytes: int
    output_left_out: bool


class _Run(BaseModel):
    id: str
    name: str
    status: str
    outcome: Optional[str]
    created_at: Optional[str]
    finished_at: Optional[str]
    priority: int
    batch: Optional[str]
    labels: Dict[str, str]
    owned: bool
    task_count: int


class _ListedRun(_Run):
    damage: Optional[str]


class _WholeRun(_Run):
    reason: str
    started_at: Optional[str]
    counts: Dict[str, int]
    tasks: List[_Task]


class _Schedule(BaseModel):
    name: str
    file: Optional[str]
    params: Optional[Dict[str, Any]]
    cron: Optional[str]
    time_zone: Optional[str]
    catch_up: Optional[str]
    overlap: Optional[str]
    priority: Optional[int]
    labels: Optional[Dict[str, str]]
    paused_at: Optional[str]
    reason: Optional[str]
    next_at: Optional[List[Optional[str]]]
    last_at: Optional[str]
    run: Optional[str]
    outcome: Optional[str]
    waiting: Optional[int]
    missed: Optional[int]
    skipped: Optional[int]
    last_error: Optional[str]
    last_error_at: Optional[str]
    damage: Optional[str]


class TaskResponse(BaseModel):
    """One task."""

    success: Literal[True]
    data: _Task


class TasksResponse(BaseModel):
    """Some tasks, those of the latest runs first."""

    success: Literal[True]
    data: List[_Task]


class RunResponse(BaseModel):
    """One run with its tasks."""

    success: Literal[True]
    data: _WholeRun


class RunsResponse(BaseModel):
    """Some runs, the latest first."""

    success: Literal[True]
    data: List[_ListedRun]


class ScheduleResponse(BaseModel):
    """One schedule."""

    success: Literal[True]
    data: _Schedule


class SchedulesResponse(BaseModel):
    """Some schedules, by their names; of a damaged one only `damage` is known."""

    success: Literal[True]
    data: List[_Schedule]


class Ok(BaseModel):
    """It is done, and durable; `data` is the run's id, or the schedule's name."""

    success: Literal[True]
    data: str


class Submitted(Ok):
    """It is queued, durably."""

    workflow_id: str
    status: Literal["queued"]
