"""Owns the transitions: `apply`, the only code that changes state, live and on replay.

An event that does not fit (see `core.law`) is refused with `IllegalEvent` before
anything changes. `apply` decides nothing: what follows from an event without a
choice (a need is met) it derives, the rest it leaves in `due`, `ending` and
`timers` for `decide`.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Type

from provctl.core import events as ev
from provctl.core.failure import doom, failed_fast, spoil, worse
from provctl.core.lanes import (
    drop_timer,
    enqueue,
    forget_waiting,
    leave_lane,
    set_timer,
    take,
)
from provctl.core.law import IllegalEvent, misfit
from provctl.core.model import Group, Workflow
from provctl.core.state import FAILURES, WENT, RunState, State, TaskState
from provctl.core.values import ValueMissing, holds

__all__ = ["IllegalEvent", "apply", "close_run", "open_run"]


def open_run(state: State, submitted: ev.RunSubmitted, workflow: Workflow) -> None:
    """Add a run to `state`; `submitted` is the first event of its journal."""
    run = RunState(submitted, workflow, state.arrivals)
    state.arrivals += 1
    state.runs[submitted.run] = run
    for task in run.tasks.values():
        if task.unmet == 0:
            _becomes_ready(state, run, task)
    if not run.tasks:
        state.ending[submitted.run] = None


def close_run(state: State, run_id: str) -> None:
    """Forget a run, finished or not; what its tries used is free again."""
    run = state.runs.pop(run_id)
    for task_id in run.active:
        task = run.tasks[task_id]
        if task.status == "running" and not isinstance(task.task.action, Group):
            take(state, run, task, -1)
    forget_waiting(state, run)
    for key in [key for key in state.due if key[0] == run_id]:
        del state.due[key]
    state.ending.pop(run_id, None)


def apply(state: State, event: ev.Event) -> None:
    """Change `state` by one fact. Raises IllegalEvent, having changed nothing."""
    run = state.runs.get(event.run)
    story = "unknown run" if run is None else misfit(run, event)
    if run is None or story:
        where = "/".join(filter(None, (event.run, getattr(event, "task", ""))))
        message = f"{type(event).__name__} of {where}: {story}"
        raise IllegalEvent(message)
    _APPLY[type(event)](state, run, event)


# -- what each event does ------------------------------------------------------


def _owner_took(_state: State, run: RunState, event: ev.OwnerTook) -> None:
    run.boot = event.boot


def _attempt_started(state: State, run: RunState, event: ev.AttemptStarted) -> None:
    task = run.tasks[event.task]
    task.attempt = event.attempt
    task.started_at = event.at
    task.retry_at = None
    task.stop_level = 0
    take(state, run, task, +1)
    _begin(state, run, event.at)
    _move(run, task, "running")
    leave_lane(state, run, task)


def _begin(state: State, run: RunState, at: float) -> None:
    if run.started_at is not None:
        return
    run.started_at = at
    if run.workflow.timeout_s is not None:
        deadline = at + run.workflow.timeout_s
        set_timer(state, deadline, run.submitted.run)


def _attempt_adopted(state: State, run: RunState, event: ev.AttemptAdopted) -> None:
    task = run.tasks[event.task]
    if task.stop_level:
        # The old owner may have died between this fact and the signal: say it again.
        state.due[(event.run, event.task)] = None


def _attempt_voided(state: State, run: RunState, event: ev.AttemptVoided) -> None:
    task = run.tasks[event.task]
    task.voided += 1
    task.started_at = None
    take(state, run, task, -1)
    if run.told_to_end(task):
        _finish(state, run, task, "cancelled", event.at)
        return
    _line_up(state, run, task)
    if run.failed_fast and task.tries == 0:
        doom(state, run, task, failed_fast(run))


def _attempt_stopping(state: State, run: RunState, event: ev.AttemptStopping) -> None:
    run.tasks[event.task].stop_level = 2 if event.now else 1
    state.due.pop((event.run, event.task), None)


def _attempt_finished(state: State, run: RunState, event: ev.AttemptFinished) -> None:
    task = run.tasks[event.task]
    task.exit_code = event.exit_code
    task.signal = event.signal
    task.reason = event.reason
    task.output = event.output
    if event.started_at is not None:
        task.started_at = event.started_at
    take(state, run, task, -1)
    if event.retry_at is None:
        ended = event.finished_at if event.finished_at is not None else event.at
        _finish(state, run, task, event.outcome, ended)
        return
    task.retry_at = event.retry_at
    _move(run, task, "retrying")
    set_timer(state, event.retry_at, event.run, event.task)


def _retry_due(state: State, run: RunState, event: ev.RetryDue) -> None:
    drop_timer(state, event.run, event.task)
    _line_up(state, run, run.tasks[event.task])


def _task_held(state: State, run: RunState, event: ev.TaskHeld) -> None:
    task = run.tasks[event.task]
    task.reason = event.reason
    take(state, run, task, -1)
    if run.told_to_end(task):
        _finish(state, run, task, event.outcome, event.at)
        return
    task.outcome = event.outcome
    _move(run, task, "held")


def _task_resolved(state: State, run: RunState, event: ev.TaskResolved) -> None:
    task = run.tasks[event.task]
    if event.how == "rerun":
        task.outcome = None
        task.reason = ""
        # An operator's rerun is a try of its own, beyond `retry.attempts`.
        task.voided = task.attempt
        _line_up(state, run, task)
    else:
        outcome = "succeeded" if event.how == "accept" else "failed"
        task.reason = event.reason
        _finish(state, run, task, outcome, event.at)


def _task_skipped(state: State, run: RunState, event: ev.TaskSkipped) -> None:
    _end_early(state, run, event, "skipped")


def _task_failed(state: State, run: RunState, event: ev.TaskFailed) -> None:
    _end_early(state, run, event, "failed")


def _end_early(state: State, run: RunState, event: Any, outcome: str) -> None:
    task = run.tasks[event.task]
    task.reason = event.reason
    in_line = task.status == "ready"
    _finish(state, run, task, outcome, event.at)
    if in_line:
        leave_lane(state, run, task)


def _group_started(state: State, run: RunState, event: ev.GroupStarted) -> None:
    task = run.tasks[event.task]
    task.started_at = event.at
    _begin(state, run, event.at)
    state.due.pop((event.run, event.task), None)
    _move(run, task, "running")
    if task.task.timeout_s is not None:
        set_timer(state, event.at + task.task.timeout_s, event.run, event.task)
    for child in run.children.get(event.task, ()):
        _meet(state, run, run.tasks[child])
    if task.open_children == 0:
        state.due[(event.run, event.task)] = None


def _group_timed_out(state: State, run: RunState, event: ev.GroupTimedOut) -> None:
    drop_timer(state, event.run, event.task)
    group = run.tasks[event.task]
    group.spoiled = worse(group.spoiled, "timed_out")
    pending = [event.task]
    while pending:
        inside = pending.pop()
        run.tasks[inside].stop_level = 1
        for child_id in run.children.get(inside, ()):
            child = run.tasks[child_id]
            if isinstance(child.task.action, Group):
                pending.append(child_id)
            was = child.status
            _end_or_tell(state, run, child, level=1, at=event.at)
            if was == "ready":
                leave_lane(state, run, child)
            elif was == "retrying":
                drop_timer(state, event.run, child_id)


def _group_finished(state: State, run: RunState, event: ev.GroupFinished) -> None:
    drop_timer(state, event.run, event.task)
    _finish(state, run, run.tasks[event.task], event.outcome, event.at)


def _cancel_requested(state: State, run: RunState, event: ev.CancelRequested) -> None:
    run.stop_level = max(run.stop_level, 2 if event.now else 1)
    run.cancel_cause = run.cancel_cause or event.cause
    forget_waiting(state, run)
    for task in run.tasks.values():
        _end_or_tell(state, run, task, level=run.stop_level, at=event.at)


def _end_or_tell(
    state: State, run: RunState, task: TaskState, *, level: int, at: float
) -> None:
    """End what does not run, and have what runs be told to. A group ends last."""
    if task.status in ("waiting", "ready", "retrying"):
        _finish(state, run, task, "cancelled", at, spread=False)
    elif task.status == "held":
        _finish(state, run, task, task.outcome or "lost", at, spread=False)
    elif isinstance(task.task.action, Group):
        return
    elif task.status == "running" and task.stop_level < level:
        state.due[(run.submitted.run, task.task.id)] = None


def _run_finished(state: State, run: RunState, event: ev.RunFinished) -> None:
    run.outcome = event.outcome
    run.finished_at = event.at
    state.ending.pop(event.run, None)
    drop_timer(state, event.run, "")


_Handler = Callable[[State, RunState, Any], None]
_APPLY: Dict[Type[Any], _Handler] = {
    ev.OwnerTook: _owner_took,
    ev.AttemptStarted: _attempt_started,
    ev.AttemptAdopted: _attempt_adopted,
    ev.AttemptVoided: _attempt_voided,
    ev.AttemptStopping: _attempt_stopping,
    ev.AttemptFinished: _attempt_finished,
    ev.RetryDue: _retry_due,
    ev.TaskHeld: _task_held,
    ev.TaskResolved: _task_resolved,
    ev.TaskSkipped: _task_skipped,
    ev.TaskFailed: _task_failed,
    ev.GroupStarted: _group_started,
    ev.GroupTimedOut: _group_timed_out,
    ev.GroupFinished: _group_finished,
    ev.CancelRequested: _cancel_requested,
    ev.RunFinished: _run_finished,
}


# -- what follows without a choice ---------------------------------------------


def _finish(
    state: State,
    run: RunState,
    task: TaskState,
    outcome: str,
    at: float,
    *,
    spread: bool = True,
) -> None:
    """The task has its outcome; tell those that wait for it (unless all are told)."""
    run_id, task_id = run.submitted.run, task.task.id
    state.due.pop((run_id, task_id), None)
    task.outcome = outcome
    task.finished_at = at
    task.retry_at = None
    _move(run, task, outcome)
    run.open_tasks -= 1
    if run.open_tasks == 0:
        state.ending[run_id] = None
    if outcome in FAILURES:
        run.failed[task_id] = None
        spoil(state, run, task, outcome)
    _leave_group(state, run, task)
    if spread:
        _tell_dependents(state, run, task, outcome)


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
    passed = outcome == "succeeded" or (
        outcome in FAILURES and task.task.on_failure == "continue"
    )
    for dependent_id, on in run.dependents.get(task.task.id, ()):
        dependent = run.tasks[dependent_id]
        if dependent.status != "waiting":
            continue
        if on == "done" or (passed if on == "success" else outcome in FAILURES):
            _meet(state, run, dependent)
        else:
            why = f"needs {on} of {task.task.id}, which {WENT[outcome]}"
            doom(state, run, dependent, why)
    for child in run.children.get(task.task.id, ()):
        if run.tasks[child].status == "waiting":
            doom(state, run, run.tasks[child], f"{task.task.id} {WENT[outcome]}")


def _meet(state: State, run: RunState, task: TaskState) -> None:
    if task.status != "waiting":
        return
    task.unmet -= 1
    if task.unmet == 0:
        _becomes_ready(state, run, task)


def _becomes_ready(state: State, run: RunState, task: TaskState) -> None:
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
        doom(state, run, task, "its condition is false")
    elif isinstance(task.task.action, Group):
        state.due[(run.submitted.run, task.task.id)] = None
    else:
        _line_up(state, run, task)


def _line_up(state: State, run: RunState, task: TaskState) -> None:
    _move(run, task, "ready")
    enqueue(state, run, task)


def _move(run: RunState, task: TaskState, status: str) -> None:
    """Change the status; `status` may be an outcome, which means finished."""
    run.counts[task.bucket] -= 1
    run.counts[status] = run.counts.get(status, 0) + 1
    task.bucket = status
    task.status = status if status in _STATUSES else "finished"
    if task.status in ("running", "retrying", "held"):
        run.active[task.task.id] = None
    else:
        run.active.pop(task.task.id, None)


_STATUSES = frozenset({"waiting", "ready", "running", "retrying", "held"})
