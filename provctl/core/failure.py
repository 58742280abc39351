"""Owns how a failure spreads: to groups, to the run, and when it halts all tasks.

Called by those that apply events, and by nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provctl.core.state import RunState, State, TaskState

__all__ = ["doom", "spoil", "taint", "worse"]


def spoil(state: State, run: RunState, task: TaskState, outcome: str) -> None:
    """Carry a failure to the group around the task, or to the run."""
    taint(run, task, outcome)
    rollback = task.task.on_failure == "rollback"
    if run.stop_level or not (rollback or run.submitted.fail_fast):
        return
    if not _fails_run(run, task):
        return
    run.rollback_due = run.rollback_due or rollback
    if not run.halted:
        what = "the run is rolled back" if rollback else "--fail-fast"
        _halt(state, run, f"{task.task.id} failed, and {what}")


def taint(run: RunState, task: TaskState, outcome: str) -> None:
    """Note a failure at the group around the task, or at the run."""
    if task.task.on_failure == "continue":
        return
    parent = task.task.parent
    holder = run if parent is None else run.tasks[parent]
    holder.spoiled = worse(holder.spoiled, outcome)


def _fails_run(run: RunState, task: TaskState) -> bool:
    """Whether a failure goes all the way up: nothing on the way may fail."""
    around = task.task
    while around.on_failure != "continue":
        if around.parent is None:
            return True
        around = run.tasks[around.parent].task
    return False


def _halt(state: State, run: RunState, why: str) -> None:
    """What has not begun never will, and what failed is not tried again."""
    run.halted = why
    for other in run.tasks.values():
        if other.status in ("waiting", "ready"):
            doom(state, run, other, why)
        elif other.status == "retrying":
            other.broken = f"{other.reason}; not tried again, for {why}"
            state.due[(run.submitted.run, other.task.id)] = None


def worse(one: str, other: str) -> str:
    """Return the outcome that says more of what went wrong."""
    order = ("", "interrupted", "lost", "timed_out", "failed")
    return max(one, other, key=order.index)


def doom(state: State, run: RunState, task: TaskState, why: str) -> None:
    """Have a task skipped; the first reason stands."""
    if not task.doom:
        task.doom = why
        state.due[(run.submitted.run, task.task.id)] = None
