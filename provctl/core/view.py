"""Owns what people are shown of a run: a frozen picture of the state at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

__all__ = ["Progress", "RunView", "TaskView"]


@dataclass(frozen=True)
class Progress:
    """What a task last said of itself. `percent` is 0 to 100, None if unknown."""

    percent: Optional[float] = None
    message: str = ""


@dataclass(frozen=True)
class TaskView:
    """One task. Times are seconds since the epoch.

    `status`: waiting, ready, running, retrying, held, finished.
    `outcome` when finished: succeeded, failed, cancelled, timed_out, lost,
    interrupted, skipped. `reason` says in words why (a skip, a failure).
    `attempt` counts tries begun (0: none yet), `attempts` those allowed.
    `retry_at` is when a retrying task is tried again. `stopping`: it was told
    to end. `log_tail` holds the last lines of a failed task's log.
    """

    id: str
    status: str
    outcome: Optional[str] = None
    attempt: int = 0
    attempts: int = 1
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    retry_at: Optional[float] = None
    reason: str = ""
    stopping: bool = False
    progress: Progress = Progress()
    log_tail: Tuple[str, ...] = ()


@dataclass(frozen=True)
class RunView:
    """One run.

    `status`: queued, running, cancelling, held, finished. `outcome` when
    finished: succeeded, failed, cancelled, timed_out, lost. `counts` maps each
    status, and for finished tasks each outcome instead, to a number of tasks;
    `total` is their sum. `tasks` are the rows to show, in file order, possibly
    not all of them.
    """

    id: str
    name: str
    status: str
    outcome: Optional[str] = None
    created_at: float = 0.0
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    priority: int = 0
    batch: Optional[str] = None
    total: int = 0
    counts: Mapping[str, int] = None  # type: ignore[assignment]
    tasks: Tuple[TaskView, ...] = ()
