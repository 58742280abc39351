"""How tasks look in the API: records that clients of the platform know.

The five statuses of the platform say less than ours, so `state` and `outcome` are there
too, and all other fields that a task has in `api.records`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from provctl.api.records import task_record
from provctl.base.timefmt import format_iso
from provctl.core.engine.view import task_view
from provctl.core.model.workflow import Command, NushellCall, SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.engine.view import Progress


STATUSES = ("Pending", "Running", "Completed", "Failed", "Cancelled")
# A longer output is only in the record of a single task.
_OUTPUT_MAX = 4096  # bytes of JSON
_ENDED = {
    "succeeded": "Completed",
    "failed": "Failed",
    "timed_out": "Failed",
    "lost": "Failed",
    "interrupted": "Failed",
    "undo_failed": "Failed",
    "cancelled": "Cancelled",
    "skipped": "Cancelled",
    "undone": "Cancelled",
}


def status_of(task: TaskState) -> str:
    """Return one of `STATUSES`: every task that waits is pending."""
    if task.outcome is not None:
        return _ENDED[task.outcome]
    return "Running" if task.status == "running" else "Pending"


def platform_task_record(
    run: RunState,
    task: TaskState,
    *,
    whole: bool,
    stale: Mapping[str, str],
    unattended: Mapping[str, str],
    said: Optional[Progress] = None,
) -> Dict[str, Any]:
    """Return a task; without `whole` an output longer than 4 KiB is left out.

    `said` is its progress if more is known than in the state; for the mappings see
    `core.engine.view.task_view`.
    """
    seen = task_view(task, stale, unattended)
    if said is not None:
        seen = replace(seen, progress=said)
    run_id, status = run.submitted.run, status_of(task)
    command, args = _words_of(task)
    output, left_out = task.output, False
    if output is not None and not whole and len(json.dumps(output)) > _OUTPUT_MAX:
        output, left_out = None, True
    record = task_record(seen)
    return {
        **record,
        "id": f"{run_id}/{seen.id}",
        "name": seen.id,
        "command": command,
        "args": args,
        "dependencies": [f"{run_id}/{need.task}" for need in task.task.needs],
        "status": status,
        "created_at": format_iso(run.submitted.at),
        "completed_at": record["finished_at"],
        "output": output,
        "error": _error(task) if status == "Failed" else None,
        "progress": 100 if status == "Completed" else record["progress"] or 0,
        "run": run_id,
        "state": record["status"],
        "output_left_out": left_out,
    }


def _words_of(task: TaskState) -> Tuple[str, List[str]]:
    """The action of a task, as a command and its arguments."""
    action = task.task.action
    if isinstance(action, Command):
        words = [_text(word) for word in action.argv]
        return words[0], words[1:]
    if isinstance(action, NushellCall):
        args = [_text(value) for value in action.args]
        for name, value in action.flags.items():
            args += [f"--{name}", _text(value)]
        return f"{action.module} {action.command}", args
    return ("workflow" if isinstance(action, SubWorkflow) else "script"), []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _error(task: TaskState) -> str:
    if task.reason:
        return task.reason
    if task.result.signal is not None:
        return f"signal {task.result.signal}"
    if task.result.exit_code is not None:
        return f"exit code {task.result.exit_code}"
    return str(task.outcome)
