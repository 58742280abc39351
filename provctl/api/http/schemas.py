"""The schemas of the OpenAPI document: bodies and responses."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated, Literal

RUN_ID = r"^[a-z][a-z0-9-]{3,63}$"
Status = Literal["Pending", "Running", "Completed", "Failed", "Cancelled"]
_Labels = Annotated[Dict[str, str], Field(max_length=32)]
_Reason = Annotated[str, Field(max_length=1000)]


class _Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ProgressRequest(_Body):
    """How far a running task is."""

    progress: Annotated[int, Field(ge=0, le=100)]
    status: Literal["in_progress"] = "in_progress"
    message: Annotated[str, Field(max_length=1000)] = ""


class ReasonRequest(_Body):
    """The reason, for the journal."""

    reason: _Reason = ""


class CancelRequest(ReasonRequest):
    """`now`: kill at once, without a grace time."""

    now: bool = False


class PauseRequest(ReasonRequest):
    """`freeze`: also suspend running tasks."""

    freeze: bool = False


class RetryRequest(ReasonRequest):
    """The tasks to retry, empty for all that did not succeed."""

    tasks: Annotated[List[str], Field(max_length=10_000)] = []
    downstream: bool = False


class RollbackRequest(ReasonRequest):
    """`to`: undo only what came after this task."""

    to: str = ""


class CallRequest(BaseModel):
    """The arguments of a command of the library."""

    model_config = ConfigDict(extra="forbid")

    type: Optional[str] = None
    infra: Optional[str] = None
    settings: Optional[Any] = None
    wait: Optional[bool] = None
    params: Dict[str, Any] = {}
    labels: _Labels = {}


class ScheduleRequest(_Body):
    """When to submit a workflow, and the workflow itself, already evaluated.

    `cron` is in `time_zone`, by default that of the scheduler. `catch_up`: which missed
    times to run when the scheduler was not running. `overlap`: what to do if the
    previous run is still active.
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
    """Additional labels of the run, beside those of its schedule."""

    labels: _Labels = {}


class Health(BaseModel):
    """The scheduler is running."""

    status: Literal["healthy"]
    success: Literal[True]
    data: str
    version: str


class Problem(BaseModel):
    """An error; `code` is the exit code of the corresponding command."""

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
    """A list of tasks; tasks of the latest runs come first."""

    success: Literal[True]
    data: List[_Task]


class RunResponse(BaseModel):
    """One run with its tasks."""

    success: Literal[True]
    data: _WholeRun


class RunsResponse(BaseModel):
    """A list of runs, the latest first."""

    success: Literal[True]
    data: List[_ListedRun]


class ScheduleResponse(BaseModel):
    """One schedule."""

    success: Literal[True]
    data: _Schedule


class SchedulesResponse(BaseModel):
    """A list of schedules by name; a damaged one has only `damage`."""

    success: Literal[True]
    data: List[_Schedule]


class Ok(BaseModel):
    """The request is done and durable; `data` is the run's id or schedule's name."""

    success: Literal[True]
    data: str


class Submitted(Ok):
    """The run is queued and durable."""

    workflow_id: str
    status: Literal["queued"]
