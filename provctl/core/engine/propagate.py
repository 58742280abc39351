"""Propagation: the consequences of an outcome for dependents and groups.

Only called while events are applied.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from provctl.core.engine.outcomes import (
    FALSE_CONDITION,
    run_value,
    unmet_reason,
    worst_outcome,
)
from provctl.core.engine.run_queue import enqueue
from provctl.core.model.expressions import (
    ValueMissing,
    evaluate_condition,
    no_run_values,
)
from provctl.core.model.status import FAILURES, NEEDS_ATTENTION, outcome_phrase
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State, TaskState
    from provctl.core.model.status import TaskOutcome, TaskStatus


def finish_task(
    state: State,
    run: RunState,
    task: TaskState,
    outcome: TaskOutcome,
    at: float,
    *,
    spread: bool = True,
) -> None:
    """Propagate the outcome of a task to its dependents."""
    set_outcome(state, run, task, outcome, at)
    if outcome in FAILURES:
        fail_group(state, run, task, outcome)
    _leave_group(state, run, task)
    if spread:
        _tell_dependents(state, run, task, outcome)


def set_outcome(
    state: State, run: RunState, task: TaskState, outcome: TaskOutcome, at: float
) -> None:
    """Record the outcome of a task, without its effects on others."""
    run_id, task_id = run.submitted.run, task.task.id
    state.due.pop((run_id, task_id), None)
    task.outcome = outcome
    task.finished_at = at
    task.delay = None
    _set_status(run, task, "finished", counted_as=outcome)
    run.open_tasks -= 1
    if run.open_tasks == 0:
        state.ending[run_id] = None
    if task.task.finalizer and task.task.parent is None:
        run.open_finalizers -= 1
    elif run.open_finalizers and run.open_finalizers == run.open_tasks:
        run.ended_levels[""] = None
    if outcome in NEEDS_ATTENTION:
        run.failed[task_id] = None
    else:
        run.failed.pop(task_id, None)


def _leave_group(state: State, run: RunState, task: TaskState) -> None:
    parent = task.task.parent
    if parent is None:
        return
    group, known = run.tasks[parent], run.tasks[parent].as_group()
    known.open_children -= 1
    known.open_finalizers -= task.task.finalizer
    if group.status != "running":
        return
    if known.open_children == 0:
        state.due[(run.submitted.run, parent)] = None
    elif known.open_finalizers == known.open_children:
        run.ended_levels[parent] = None


def _tell_dependents(
    state: State, run: RunState, task: TaskState, outcome: TaskOutcome
) -> None:
    for dependent_id, on in run.dependents.get(task.task.id, ()):
        dependent = run.tasks[dependent_id]
        if dependent.status != "waiting":
            continue
        why = unmet_reason(task, on)
        if why:
            mark_skipped(state, run, dependent, why)
        else:
            dependency_met(state, run, dependent)
    for child in run.children.get(task.task.id, ()):
        if run.tasks[child].status == "waiting":
            mark_skipped(
                state,
                run,
                run.tasks[child],
                f"{task.task.id} {outcome_phrase(outcome)}",
            )


def dependency_met(state: State, run: RunState, task: TaskState) -> None:
    """One more dependency of a waiting task is met."""
    if task.status != "waiting":
        return
    task.unmet -= 1
    if task.unmet == 0:
        make_ready(state, run, task)


def make_ready(state: State, run: RunState, task: TaskState) -> None:
    """All dependencies are met: evaluate the condition, then queue the task."""
    if task.skip_reason:
        return
    try:
        wanted = task.task.when is None or evaluate_condition(
            task.task.when,
            run.output_of,
            run.outcome_of,
            partial(run_value, run, task) if task.task.finalizer else no_run_values,
        )
    except ValueMissing as missing:
        task.fail_reason = f"its condition cannot be evaluated: {missing}"
        state.due[(run.submitted.run, task.task.id)] = None
        return
    if not wanted:
        mark_skipped(state, run, task, FALSE_CONDITION)
    elif isinstance(task.task.action, SubWorkflow):
        state.due[(run.submitted.run, task.task.id)] = None
    else:
        enqueue_task(state, run, task)


def recheck_dependencies(state: State, run: RunState, task: TaskState) -> None:
    """Check that the dependencies of a task are still met: one may be reopened."""
    if task.status != "waiting":
        set_status(run, task, "waiting")
    task.unmet = 0
    for need in task.task.needs:
        needed = run.tasks[need.task]
        why = unmet_reason(needed, need.on) if needed.status == "finished" else ""
        task.unmet += needed.status != "finished" or bool(why)
        if why:
            mark_skipped(state, run, task, why)
    parent = task.task.parent
    if task.task.finalizer:
        task.unmet += not run.can_start_finalizer(task)
    elif parent is not None:
        task.unmet += run.tasks[parent].status == "waiting"
    if task.unmet == 0:
        make_ready(state, run, task)


def requeue(state: State, run: RunState, task: TaskState) -> None:
    """Queue the task again; each attempt needs its dependencies to be met."""
    if task.purpose == "run":
        recheck_dependencies(state, run, task)
    else:
        enqueue_task(state, run, task)


def enqueue_task(state: State, run: RunState, task: TaskState) -> None:
    """The task can start as soon as there is a slot and the run is not paused."""
    set_status(run, task, "ready")
    if not run.paused:
        enqueue(state, run, task)


def set_status(run: RunState, task: TaskState, status: TaskStatus) -> None:
    """Change the status of a task that is not finished."""
    _set_status(run, task, status, counted_as=status)


def _set_status(
    run: RunState, task: TaskState, status: TaskStatus, *, counted_as: str
) -> None:
    run.counts[task.counted_as] -= 1
    run.counts[counted_as] = run.counts.get(counted_as, 0) + 1
    task.counted_as = counted_as
    task.shortage = ""
    task.status = status
    if task.status in ("running", "retrying", "held"):
        run.active[task.task.id] = None
    else:
        run.active.pop(task.task.id, None)


def fail_group(
    state: State, run: RunState, task: TaskState, outcome: TaskOutcome
) -> None:
    """Propagate a failure to the group around the task, or to the run."""
    mark_failed(run, task, outcome)
    if task.task.finalizer:
        return
    rollback = task.task.on_failure == "rollback"
    if run.stop_level or not (rollback or run.submitted.fail_fast):
        return
    if not _fails_run(run, task):
        return
    run.rollback_due = run.rollback_due or rollback
    if not run.halted:
        what = "the run is rolled back" if rollback else "--fail-fast"
        _halt(state, run, f"{task.task.id} failed, and {what}")


def mark_failed(run: RunState, task: TaskState, outcome: TaskOutcome) -> None:
    """Record a failure at the group around the task, or at the run."""
    if task.task.on_failure == "continue":
        return
    parent = task.task.parent
    holder = run if parent is None else run.tasks[parent].as_group()
    if task.task.finalizer:
        holder.finalizer_failed = True
        return
    holder.worst_failure = worst_outcome(holder.worst_failure, outcome)


def _fails_run(run: RunState, task: TaskState) -> bool:
    """Whether a failure reaches the run: no group around it has on_failure continue."""
    around = task.task
    while around.on_failure != "continue":
        if around.parent is None:
            return True
        around = run.tasks[around.parent].task
    return False


def _halt(state: State, run: RunState, why: str) -> None:
    """Skip tasks that have not started, and do not retry failed ones."""
    run.halted = why
    for other in run.tasks.values():
        if other.task.finalizer:
            continue
        if other.status in ("waiting", "ready"):
            mark_skipped(state, run, other, why)
        elif other.status == "retrying":
            other.fail_reason = f"{other.reason}; not retried: {why}"
            state.due[(run.submitted.run, other.task.id)] = None


def mark_skipped(state: State, run: RunState, task: TaskState, why: str) -> None:
    """Mark a task as skipped; the first reason is kept."""
    if not task.skip_reason:
        task.skip_reason = why
        state.due[(run.submitted.run, task.task.id)] = None
