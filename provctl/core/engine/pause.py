"""Pausing: which tasks leave the queue, and which timers are suspended."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Optional

from provctl.core.engine.run_queue import drop_queues, enqueue, set_timer
from provctl.core.engine.state import RetryDelay
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State, TaskState


def pause(state: State, run: RunState, *, at: float, freeze: bool) -> None:
    """Remove the run from the queue; with `freeze` also suspend its attempts."""
    if not run.paused:
        run.paused = True
        drop_queues(state, run)
        _suspend(state, run, at)
    if freeze and not run.frozen:
        run.frozen = run.was_suspended = True
        _signal_running(state, run)


def resume(state: State, run: RunState, *, at: float) -> None:
    """Resume the run where it was."""
    run.paused = False
    for task in run.tasks.values():
        if task.status == "ready":
            enqueue(state, run, task)
    for task_id, left_s in run.suspended.items():
        set_timer(state, at + left_s, run.submitted.run, task_id)
    run.suspended.clear()
    if run.frozen:
        run.frozen = False
        _signal_running(state, run)


def _signal_running(state: State, run: RunState) -> None:
    """Suspend or resume each running attempt."""
    for task_id in run.active:
        task = run.tasks[task_id]
        running = task.status == "running" and not isinstance(
            task.task.action, SubWorkflow
        )
        if running and task.is_suspended != run.frozen:
            state.due[(run.submitted.run, task_id)] = None


def _suspend(state: State, run: RunState, at: float) -> None:
    """Suspend the timeouts of the run and of its groups; retry delays continue."""
    run_id = run.submitted.run
    kept = []
    for timer in state.timers:
        when, owner, task_id = timer
        is_wait = owner != run_id or _waits(run, task_id)
        if is_wait:
            kept.append(timer)
        else:
            run.suspended[task_id] = when - at
    state.timers[:] = kept
    heapq.heapify(state.timers)


def _waits(run: RunState, task_id: str) -> bool:
    task = run.tasks.get(task_id)
    return task is not None and task.status == "retrying"


def clamp_timers(state: State, run: RunState, at: float) -> None:
    """The clock was set back: no timer lasts longer than its length from now on."""
    run_id = run.submitted.run
    for place, (when, owner, task_id) in enumerate(state.timers):
        if owner != run_id:
            continue
        task = run.tasks.get(task_id)
        latest = at + _timer_length(run, task)
        if when > latest:
            state.timers[place] = (latest, owner, task_id)
            if task is not None and task.status == "retrying" and task.delay:
                task.delay = RetryDelay(latest, task.delay.delay_s)
    heapq.heapify(state.timers)


def _timer_length(run: RunState, task: Optional[TaskState]) -> float:
    """The length in seconds for which a timer was set."""
    if task is None:
        return run.workflow.timeout_s or 0.0
    if task.status == "retrying" and task.delay:
        return task.delay.delay_s
    return task.task.timeout_s or 0.0
