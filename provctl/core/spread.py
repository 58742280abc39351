"""Owns what follows from an event without a choice: ends spread, needs are met.

Called by those that apply events, and by nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provctl.core.failure import doom, spoil
from provctl.core.lanes import enqueue
from provctl.core.model import Group
from provctl.core.state import FAILURES, TROUBLES, WENT
from provctl.core.values import ValueMissing, holds

if TYPE_CHECKING:
    from provctl.core.state import RunState, State, TaskState

__all__ = [
    "becomes_ready",
    "end",
    "finish",
    "left_out",
    "line_up",
    "look_again",
    "meet",
    "move",
    "stand_again",
    "unmet_by",
]

_CONDITION = "its condition is false"


def finish(
    state: State,
    run: RunState,
    task: TaskState,
    outcome: str,
    at: float,
    *,
    spread: bool = True,
) -> None:
    """The task has its outcome; tell those that wait for it (unless all are told)."""
    end(state, run, task, outcome, at)
    if outcome in FAILURES:
        spoil(state, run, task, outcome)
    _leave_group(state, run, task)
    if spread:
        _tell_dependents(state, run, task, outcome)


def end(state: State, run: RunState, task: TaskState, outcome: str, at: float) -> None:
    """Write the outcome down, whatever it means for others."""
    run_id, task_id = run.submitted.run, task.task.id
    state.due.pop((run_id, task_id), None)
    task.outcome = outcome
    task.finished_at = at
    task.retry_at = None
    task.frozen = False
    move(run, task, outcome)
    run.open_tasks -= 1
    if run.open_tasks == 0:
        state.ending[run_id] = None
    if outcome in TROUBLES:
        run.failed[task_id] = None
    else:
        run.failed.pop(task_id, None)


def _leave_group(state: State, run: RunState, task: TaskState) -> None:
    parent = task.task.parent
    if parent is None:
        return
    group = run.tasks[parent]
    group.open_children -= 1
    if group.open_children == 0 and group.status == "running":
        state.due[(run.submitted.run, parent)] = None


def _tell_dependents(
    state: State, run: RunState, task: TaskState, outcome: str
) -> None:
    for dependent_id, on in run.dependents.get(task.task.id, ()):
        dependent = run.tasks[dependent_id]
        if dependent.status != "waiting":
            continue
        why = unmet_by(task, on)
        if why:
            doom(state, run, dependent, why)
        else:
            meet(state, run, dependent)
    for child in run.children.get(task.task.id, ()):
        if run.tasks[child].status == "waiting":
            doom(state, run, run.tasks[child], f"{task.task.id} {WENT[outcome]}")


def unmet_by(task: TaskState, on: str) -> str:
    """Return why a finished task does not meet a need; empty if it does."""
    outcome = task.outcome or ""
    failed = outcome in FAILURES
    passed = outcome == "succeeded" or (failed and task.task.on_failure == "continue")
    if on == "done" or (passed if on == "success" else failed):
        return ""
    return f"needs {on} of {task.task.id}, which {WENT[outcome]}"


def left_out(run: RunState, task: TaskState) -> bool:
    """Whether a finished task did not run, and nothing of now says that it should not.

    A retry of other tasks alone leaves such behind: what it needs has succeeded since,
    or the cancel that ended it is forgotten.
    """
    parent = task.task.parent
    if parent is not None and run.tasks[parent].outcome != "succeeded":
        return False
    if task.outcome != "skipped" or task.reason == _CONDITION:
        return task.outcome == "cancelled"
    needed = ((run.tasks[need.task], need.on) for need in task.task.needs)
    return not any(each.outcome and unmet_by(each, on) for each, on in needed)


def meet(state: State, run: RunState, task: TaskState) -> None:
    """One thing less that a waiting task waits for."""
    if task.status != "waiting":
        return
    task.unmet -= 1
    if task.unmet == 0:
        becomes_ready(state, run, task)


def becomes_ready(state: State, run: RunState, task: TaskState) -> None:
    """All needs are met: look at the condition, then stand in line."""
    if task.doom:
        return
    try:
        wanted = task.task.when is None or holds(task.task.when, run.output_of)
    except ValueMissing as missing:
        task.broken = f"its condition cannot be decided: {missing}"
        state.due[(run.submitted.run, task.task.id)] = None
        return
    if not wanted:
        doom(state, run, task, _CONDITION)
    elif isinstance(task.task.action, Group):
        state.due[(run.submitted.run, task.task.id)] = None
    else:
        line_up(state, run, task)


def look_again(state: State, run: RunState, task: TaskState) -> None:
    """The task could be tried, if its needs are still met: one may be open again."""
    if task.status != "waiting":
        move(run, task, "waiting")
    task.unmet = 0
    for need in task.task.needs:
        needed = run.tasks[need.task]
        why = unmet_by(needed, need.on) if needed.status == "finished" else ""
        task.unmet += needed.status != "finished" or bool(why)
        if why:
            doom(state, run, task, why)
    parent = task.task.parent
    if parent is not None:
        task.unmet += run.tasks[parent].status == "waiting"
    if task.unmet == 0:
        becomes_ready(state, run, task)


def stand_again(state: State, run: RunState, task: TaskState) -> None:
    """The task stands in line once more; before each try of its own it has needs."""
    if task.purpose == "run":
        look_again(state, run, task)
    else:
        line_up(state, run, task)


def line_up(state: State, run: RunState, task: TaskState) -> None:
    """The task could start, as soon as there is room and the run is not paused."""
    move(run, task, "ready")
    if not run.paused:
        enqueue(state, run, task)


def move(run: RunState, task: TaskState, status: str) -> None:
    """Change the status; `status` may be an outcome, which means finished."""
    run.counts[task.bucket] -= 1
    run.counts[status] = run.counts.get(status, 0) + 1
    task.bucket = status
    task.lacks = ""
    task.status = status if status in _STATUSES else "finished"
    if task.status in ("running", "retrying", "held"):
        run.active[task.task.id] = None
    else:
        run.active.pop(task.task.id, None)


_STATUSES = frozenset({"waiting", "ready", "running", "retrying", "held"})
