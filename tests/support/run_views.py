"""Views of runs for tests, with the counts of their tasks."""

from __future__ import annotations

from collections import Counter
from typing import Any

from provctl.core.engine.view import Progress, RunView, TaskView
from provctl.core.model.attempt_result import AttemptResult
from provctl.render.text import state_of

__all__ = ["done", "failed", "run_of", "running", "waiting"]


def run_of(*tasks: TaskView, **fields: Any) -> RunView:
    """A run that started at 1000 and has these tasks."""
    counts = Counter(map(state_of, tasks))
    given = {
        "id": "01J8ZQ4T6K",
        "name": "multi-cloud-deployment",
        "status": "running",
        "started_at": 1000.0,
        "total": len(tasks),
        "counts": counts,
        "tasks": tasks,
    }
    return RunView(**{**given, **fields})


def waiting(task: str) -> TaskView:
    return TaskView(task, "waiting")


def running(task: str, percent: float, message: str, **fields: Any) -> TaskView:
    given = {"attempt": 1, "started_at": 1000.0}
    progress = Progress(percent, message)
    return TaskView(task, "running", progress=progress, **{**given, **fields})


def done(task: str, seconds: float = 4.0) -> TaskView:
    return TaskView(
        task,
        "finished",
        result=AttemptResult(0),
        outcome="succeeded",
        attempt=1,
        started_at=1000.0,
        finished_at=1000.0 + seconds,
    )


def failed(task: str, *log_tail: str, **fields: Any) -> TaskView:
    given = {
        "outcome": "failed",
        "attempt": 1,
        "result": AttemptResult(1),
        "started_at": 1000.0,
        "finished_at": 1012.0,
    }
    return TaskView(task, "finished", log_tail=log_tail, **{**given, **fields})
