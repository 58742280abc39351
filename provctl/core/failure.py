"""Owns how a failure spreads: to groups, to the run, with --fail-fast to all tasks.

Called by `machine` alone, as part of applying an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provctl.core.state import RunState, State, TaskState

__all__ = ["doom", "failed_fast", "spoil", "worse"]


def spoil(state: State, run: RunState, task: TaskState, outcome: str) -> None:
    """Carry a failure to the group around the task, or to the run."""
    if task.task.on_failure == "continue":
        return
    parent = task.task.parent
    if parent is not None:
        holder = run.tasks[parent]
        holder.spoiled = worse(holder.spoiled, outcome)
    else:
        run.spoiled = worse(run.spoiled, outcome)
    stopped = run.failed_fast or run.stop_level
    if run.submitted.fail_fast and not stopped and _fails_run(run, task):
        run.failed_fast = task.task.id
        for other in run.tasks.values():
            if other.status in ("waiting", "ready"):
                doom(state, run, other, failed_fast(run))


def _fails_run(run: RunState, task: TaskState) -> bool:
    """Whether a failure goes all the way up: no group around it may fail."""
    parent = task.task.parent
    while parent is not None:
        group = run.tasks[parent].task
        if group.on_failure == "continue":
            return False
        parent = group.parent
    return True


def failed_fast(run: RunState) -> str:
    """Return why a task of a run that failed fast is skipped."""
    return f"{run.failed_fast} failed, and --fail-fast"


def worse(one: str, other: str) -> str:
    """Return the outcome that says more of what went wrong."""
    order = ("", "interrupted", "lost", "timed_out", "failed")
    return max(one, other, key=order.index)


def doom(state: State, run: RunState, task: TaskState, why: str) -> None:
    """Have a task skipped; the first reason stands."""
    if not task.doom:
        task.doom = why
        state.due[(run.submitted.run, task.task.id)] = None
