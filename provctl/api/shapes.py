"""Owns the shapes that the OpenAPI document describes: bodies and answers."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated, Literal

__all__ = [
    "RUN_ID",
    "CallBody",
    "CancelBody",
    "Done",
    "Health",
    "PauseBody",
    "Problem",
    "ProgressBody",
    "ReasonBody",
    "RetryBody",
    "RollbackBody",
    "RunAnswer",
    "RunsAnswer",
    "Status",
    "Submitted",
    "TaskAnswer",
    "TasksAnswer",
]

RUN_ID = r"^[a-z][a-z0-9-]{3,63}$"
Status = Literal["Pending", "Running", "Completed", "Failed", "Cancelled"]
_Reason = Annotated[str, Field(max_length=1000)]


class _Body(BaseModel):
    """What is sent: nothing in it is guessed, and nothing passed over."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ProgressBody(_Body):
    """How far a running task is."""

    progress: Annotated[int, Field(ge=0, le=100)]
    status: Literal["in_progress"] = "in_progress"
    message: Annotated[str, Field(max_length=1000)] = ""


class ReasonBody(_Body):
    """Why, for the journal."""

    reason: _Reason = ""


class CancelBody(ReasonBody):
    """`now`: kill at once, without grace."""

    now: bool = False


class PauseBody(ReasonBody):
    """`freeze`: stop running tasks too."""

    freeze: bool = False


class RetryBody(ReasonBody):
    """The tasks to run again, none for all that did not succeed."""

    tasks: Annotated[List[str], Field(max_length=10_000)] = []
    downstream: bool = False


class RollbackBody(ReasonBody):
    """`to`: only what came after this task is undone."""

    to: str = ""


class CallBody(BaseModel):
    """What a command of the library is called with."""

    model_config = ConfigDict(extra="forbid")

    type: Optional[str] = None
    infra: Optional[str] = None
    settings: Optional[Any] = None
    wait: Optional[bool] = None
    params: Dict[str, Any] = {}


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
    output: Any
    error: Optional[str]
    progress: float
    message: str
    run: str
    state: str
    outcome: Optional[str]
    attempts: int
    exit_code: Optional[int]
    reason: str
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
    schedule: Optional[str]
    owned: bool
    task_count: int


class _ListedRun(_Run):
    damage: Optional[str]


class _WholeRun(_Run):
    started_at: Optional[str]
    counts: Dict[str, int]
    tasks: List[_Task]


class TaskAnswer(BaseModel):
    """One task."""

    success: Literal[True]
    data: _Task


class TasksAnswer(BaseModel):
    """Some tasks, those of the latest runs first."""

    success: Literal[True]
    data: List[_Task]


class RunAnswer(BaseModel):
    """One run with its tasks."""

    success: Literal[True]
    data: _WholeRun


class RunsAnswer(BaseModel):
    """Some runs, the latest first."""

    success: Literal[True]
    data: List[_ListedRun]


class Done(BaseModel):
    """It is done, and durable; `data` is the run's id."""

    success: Literal[True]
    data: str


class Submitted(Done):
    """It is queued, durably."""

    workflow_id: str
    status: Literal["queued"]
