"""Runs and tasks as JSON objects: the same names for the same things everywhere.

`list`, `status`, `show`, `explain`, hooks and the HTTP API use these, and add what only
they know. Times are ISO 8601 in UTC; what is not known is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from provctl.base.timefmt import format_iso

if TYPE_CHECKING:
    from provctl.core.engine.view import RunView, TaskView
    from provctl.storage.run_summary import RunSummary


def run_record(run: RunView, *, owned: bool) -> Dict[str, Any]:
    """Return a run without its tasks; `owned`: a process owns it now."""
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "outcome": run.outcome,
        "reason": run.reason,
        "created_at": format_iso(run.created_at),
        "started_at": format_iso(run.started_at),
        "finished_at": format_iso(run.finished_at),
        "priority": run.priority,
        "batch": run.batch,
        "labels": dict(run.labels),
        "owned": owned,
        "task_count": run.total,
        "counts": dict(run.counts),
    }


def summary_record(run: RunSummary) -> Dict[str, Any]:
    """Return a run as lists show it; `damage` describes the damage of its journal."""
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "outcome": run.outcome,
        "created_at": format_iso(run.created_at),
        "finished_at": format_iso(run.finished_at),
        "priority": run.priority,
        "batch": run.batch,
        "labels": dict(run.labels),
        "owned": run.owned,
        "task_count": run.tasks,
        "damage": run.damage or None,
    }


def task_record(task: TaskView) -> Dict[str, Any]:
    """Return a task; after its latest attempt has finished, with its measures."""
    from provctl.core.model.attempt_result import MEASURES

    return {
        "id": task.id,
        "status": task.status,
        "outcome": task.outcome,
        "reason": task.explanation,
        "stale": bool(task.stale),
        "attempts": task.attempt,
        "purpose": task.purpose,
        "finalizer": task.finalizer,
        "started_at": format_iso(task.started_at),
        "finished_at": format_iso(task.finished_at),
        "retry_at": format_iso(task.retry_at),
        "progress": task.progress.percent,
        "message": task.progress.message,
        "frozen": task.frozen,
        **{name: getattr(task.result, name) for name in MEASURES},
    }
