"""Finalizers: when they may start, and what a cancel does to them.

A level is the run or a nested workflow. Its finalizers wait until all its other tasks
have ended. Whatever ends the last of them notes the level in `RunState.ended_levels`;
once the event is applied, `end_levels` lets the finalizers go on. Only called while
events are applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Container, Dict, Iterable, Optional

from provctl.core.engine.outcomes import body_outcome, rollback_reason
from provctl.core.engine.propagate import (
    dependency_met,
    mark_skipped,
    recheck_dependencies,
    set_status,
)
from provctl.core.engine.run_queue import dequeue, drop_timer, enqueue, set_timer
from provctl.core.model.status import outcome_phrase
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State, TaskState


def end_levels(state: State, run: RunState) -> None:
    """Let the finalizers of levels go on of which all other tasks have ended."""
    levels = list(run.ended_levels)
    run.ended_levels.clear()
    for level in levels:
        if level:
            _end_group(state, run, level)
        else:
            _end_run(state, run)


def _end_run(state: State, run: RunState) -> None:
    run_id = run.submitted.run
    left = run.open_finalizers
    if run.finalizing or not left or run.open_tasks != left:
        return
    if rollback_reason(run):
        state.ending[run_id] = None
        return
    state.ending.pop(run_id, None)
    run.finalizing = True
    run.body_outcome = body_outcome(run)
    # The timeout is for the other tasks: it neither stops nor skips a finalizer.
    drop_timer(state, run_id, "")
    run.suspended.pop("", None)
    for name in run.finalizers[None]:
        task = run.tasks[name]
        if run.has_begun:
            dependency_met(state, run, task)
        elif task.status == "waiting":
            mark_skipped(state, run, task, "no task of the run began")


def _end_group(state: State, run: RunState, group_id: str) -> None:
    group = run.tasks[group_id]
    known = group.as_group()
    left = known.open_finalizers
    if known.finalizing or not left or known.open_children != left:
        return
    if group.status != "running":
        return
    known.finalizing = True
    drop_timer(state, run.submitted.run, group_id)
    run.suspended.pop(group_id, None)
    for name in run.finalizers[group_id]:
        dependency_met(state, run, run.tasks[name])


# -- a cancel -----------------------------------------------------------------------


def keep_finalizer(state: State, run: RunState, task: TaskState) -> None:
    """A first cancel leaves a finalizer as it is, but it stands in no line any more."""
    run_id, task_id = run.submitted.run, task.task.id
    if skip_finalizer(state, run, task):
        return
    if task.status == "ready":
        enqueue(state, run, task)
    elif task.status == "retrying" and task.delay is not None:
        set_timer(state, task.delay.until, run_id, task_id)
    elif task.is_suspended:
        state.due[(run_id, task_id)] = None


def skip_finalizer(state: State, run: RunState, task: TaskState) -> bool:
    """Skip a finalizer of a nested workflow that was ended before it began."""
    parent = task.task.parent
    if parent is None or task.status != "waiting":
        return False
    group = run.tasks[parent]
    if group.status != "finished":
        return False
    mark_skipped(state, run, task, f"{parent} {outcome_phrase(group.outcome)}")
    return True


# -- opening again ------------------------------------------------------------------


def levels_of(tasks: Iterable[TaskState]) -> Dict[Optional[str], None]:
    """Return the levels that tasks belong to, or are; None is the run."""
    found: Dict[Optional[str], None] = {}
    for task in tasks:
        found[task.task.parent] = None
        if isinstance(task.task.action, SubWorkflow):
            found[task.task.id] = None
    return found


def to_reopen(run: RunState, tasks: Iterable[TaskState]) -> Dict[str, None]:
    """Return the finalizers that run again after these tasks, if they have not ended."""
    return {
        name: None
        for level in levels_of(tasks)
        for name in run.finalizers.get(level, ())
    }


def reopen_levels(
    state: State, run: RunState, levels: Iterable[Optional[str]], at: float
) -> None:
    """Tasks of these levels are open again: finalizers have to wait for them."""
    for level in levels:
        if level is None:
            if run.finalizing and run.started_at is not None:
                limit = run.workflow.timeout_s
                _set_deadline(state, run, "", limit, began=run.started_at, at=at)
            run.finalizing = False
            run.body_outcome = None
            continue
        group = run.tasks[level]
        known = group.as_group()
        if known.finalizing and group.status == "running":
            began = at if group.started_at is None else group.started_at
            _set_deadline(state, run, level, group.task.timeout_s, began=began, at=at)
        known.finalizing = False


def _set_deadline(
    state: State,
    run: RunState,
    level: str,
    limit_s: Optional[float],
    *,
    began: float,
    at: float,
) -> None:
    """The time of a level goes on from where it began."""
    if limit_s is None:
        return
    if run.paused:
        run.suspended[level] = began + limit_s - at
    else:
        set_timer(state, began + limit_s, run.submitted.run, level)


def restart_levels(
    state: State,
    run: RunState,
    levels: Iterable[Optional[str]],
    opened: Container[str],
) -> None:
    """Have the finalizers of these levels wait, those but that were opened too."""
    for level in levels:
        for name in run.finalizers.get(level, ()):
            task = run.tasks[name]
            if name in opened or task.purpose != "run":
                continue
            if task.status == "ready":
                set_status(run, task, "waiting")
                dequeue(state, run, task)
            if task.status == "waiting":
                recheck_dependencies(state, run, task)
        run.ended_levels[level or ""] = None
