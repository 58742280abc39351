"""The transitions: `apply`, the only code that changes state, live and on replay.

An event that does not fit (see `core.engine.transitions`) is refused with
`InvalidTransition` before anything changes. `apply` decides nothing. It derives what
follows from an event without a choice (a dependency is met). The rest it leaves in
`due`, `ending` and `timers` for `decide`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, Type

from provctl.core.engine import events as ev
from provctl.core.engine.finalizers import (
    end_levels,
    keep_finalizer,
    skip_finalizer,
)
from provctl.core.engine.outcomes import worst_outcome
from provctl.core.engine.pause import clamp_timers, pause, resume
from provctl.core.engine.propagate import (
    dependency_met,
    enqueue_task,
    finish_task,
    make_ready,
    mark_skipped,
    requeue,
    set_outcome,
    set_status,
)
from provctl.core.engine.reopen import end_wait, reopen_tasks
from provctl.core.engine.rollback import keep_as_is, roll_back, undo_ended
from provctl.core.engine.run_queue import (
    count_resources,
    dequeue,
    drop_timer,
    drop_waiting,
    set_timer,
)
from provctl.core.engine.state import (
    AttemptState,
    RetryDelay,
    RunState,
    State,
    TaskState,
)
from provctl.core.engine.transitions import InvalidTransition, transition_error
from provctl.core.model.workflow import SubWorkflow, Workflow

if TYPE_CHECKING:
    from provctl.core.model.status import TaskOutcome


def open_run(state: State, submitted: ev.RunSubmitted, workflow: Workflow) -> None:
    """Add a run to `state`; `submitted` is the first event of its journal."""
    run = RunState(submitted, workflow, state.arrivals)
    state.arrivals += 1
    state.runs[submitted.run] = run
    for task in run.tasks.values():
        if task.unmet == 0:
            make_ready(state, run, task)
    if not run.tasks:
        state.ending[submitted.run] = None
    if run.open_finalizers == run.open_tasks:
        run.ended_levels[""] = None
        end_levels(state, run)


def close_run(state: State, run_id: str) -> None:
    """Remove a run, finished or not, and free the resources of its attempts."""
    run = state.runs.pop(run_id)
    for task_id in run.active:
        task = run.tasks[task_id]
        if task.status == "running" and not isinstance(task.task.action, SubWorkflow):
            count_resources(state, run, task, -1)
    drop_waiting(state, run)
    for key in [key for key in state.due if key[0] == run_id]:
        del state.due[key]
    state.ending.pop(run_id, None)


def apply(state: State, event: ev.Event) -> None:
    """Apply one event to `state`. On InvalidTransition nothing has changed."""
    run = state.runs.get(event.run)
    story = "unknown run" if run is None else transition_error(run, event)
    if run is None or story:
        where = "/".join(filter(None, (event.run, getattr(event, "task", ""))))
        message = f"{type(event).__name__} of {where}: {story}"
        raise InvalidTransition(message)
    _APPLY[type(event)](state, run, event)
    if run.ended_levels:
        end_levels(state, run)
    run.last_at = max(run.last_at, event.at)


# -- the effect of each event --------------------------------------------------


def _ownership_taken(state: State, run: RunState, event: ev.OwnershipTaken) -> None:
    run.boot = event.boot
    if event.at < run.last_at:
        clamp_timers(state, run, event.at)


def _attempt_started(state: State, run: RunState, event: ev.AttemptStarted) -> None:
    task = run.tasks[event.task]
    task.attempt = event.attempt
    task.purpose = event.purpose
    if task.latest is not None:
        task.latest.previous = None
    task.latest = AttemptState(previous=task.latest)
    task.started_before, task.started_at = task.started_at, event.at
    task.finished_at = None
    task.delay = None
    task.stop_level = 0
    count_resources(state, run, task, +1)
    _begin(state, run, event.at)
    set_status(run, task, "running")
    dequeue(state, run, task)


def _latest(task: TaskState) -> AttemptState:
    assert task.latest is not None, "it has started an attempt"
    return task.latest


def _begin(state: State, run: RunState, at: float) -> None:
    if run.started_at is not None:
        return
    run.started_at = at
    run.has_begun = True
    if run.finalizing:
        return  # the timeout is for the other tasks
    if run.workflow.timeout_s is not None:
        deadline = at + run.workflow.timeout_s
        set_timer(state, deadline, run.submitted.run)


def _attempt_adopted(state: State, run: RunState, event: ev.AttemptAdopted) -> None:
    task = run.tasks[event.task]
    # The old owner may have died between an event and its signal: send it again.
    if run.was_suspended:
        _latest(task).suspended = not run.frozen
    if task.stop_level or run.was_suspended:
        state.due[(event.run, event.task)] = None


def _attempt_discarded(state: State, run: RunState, event: ev.AttemptDiscarded) -> None:
    task = run.tasks[event.task]
    task.discarded += 1
    task.latest = _latest(task).previous
    task.started_at = task.started_before
    count_resources(state, run, task, -1)
    if run.is_stopping(task):
        _cancel_before_start(state, run, task, event.at)
        return
    requeue(state, run, task)
    if event.shortage and task.status == "ready":
        task.shortage = event.reason
    if task.task.finalizer:
        return
    if run.halted and task.counted_attempts == 0 and task.purpose == "run":
        mark_skipped(state, run, task, run.halted)


def _attempt_stopping(state: State, run: RunState, event: ev.AttemptStopping) -> None:
    task = run.tasks[event.task]
    task.stop_level = 2 if event.now else 1
    _latest(task).suspended = False
    state.due.pop((event.run, event.task), None)


def _attempt_suspended(state: State, run: RunState, event: ev.AttemptSuspended) -> None:
    _latest(run.tasks[event.task]).suspended = True
    state.due.pop((event.run, event.task), None)


def _attempt_resumed(state: State, run: RunState, event: ev.AttemptResumed) -> None:
    _latest(run.tasks[event.task]).suspended = False
    state.due.pop((event.run, event.task), None)


def _progress_reported(state: State, run: RunState, event: ev.ProgressReported) -> None:
    latest = _latest(run.tasks[event.task])
    latest.percent, latest.message = event.percent, event.message


def _attempt_finished(state: State, run: RunState, event: ev.AttemptFinished) -> None:
    task = run.tasks[event.task]
    result, latest = event.result, _latest(task)
    latest.result, latest.previous = result, None
    task.reason = event.reason
    if task.purpose != "undo":
        task.output = event.output
    if task.purpose == "run" and not result.ran:
        task.started_at = task.started_before
    elif result.started_at is not None:
        task.started_at = result.started_at
    _release_slot(state, run, task)
    if event.retry_at is None:
        ended = event.at if result.finished_at is None else result.finished_at
        if task.purpose == "undo":
            undo_ended(state, run, task, event.outcome, ended)
        else:
            finish_task(state, run, task, event.outcome, ended)
        return
    task.delay = RetryDelay(event.retry_at, event.retry_at - event.at)
    set_status(run, task, "retrying")
    set_timer(state, event.retry_at, event.run, event.task)


def _release_slot(state: State, run: RunState, task: TaskState) -> None:
    """An attempt has finished. A probe does not count as an attempt of its task."""
    count_resources(state, run, task, -1)
    state.due.pop((run.submitted.run, task.task.id), None)
    if task.purpose == "probe":
        task.purpose = "run"
        task.unconfirmed = ""
        task.discarded += 1


def _retry_due(state: State, run: RunState, event: ev.RetryDue) -> None:
    end_wait(state, run, run.tasks[event.task])


def _probe_due(state: State, run: RunState, event: ev.ProbeDue) -> None:
    task = run.tasks[event.task]
    _release_slot(state, run, task)
    task.reason = event.reason
    task.unconfirmed = event.outcome
    task.purpose = "probe"
    enqueue_task(state, run, task)


def _task_held(state: State, run: RunState, event: ev.TaskHeld) -> None:
    task = run.tasks[event.task]
    task.reason = event.reason
    _release_slot(state, run, task)
    if run.is_stopping(task):
        _cancel_silently(state, run, task, event.outcome, event.at)
        return
    task.outcome = event.outcome
    set_status(run, task, "held")


def _task_resolved(state: State, run: RunState, event: ev.TaskResolved) -> None:
    task = run.tasks[event.task]
    if event.how == "rerun":
        task.outcome = None
        task.reason = ""
        # A rerun by an operator is an attempt beyond `retry.attempts`.
        task.discarded = task.attempt
        requeue(state, run, task)
    else:
        accepted = event.how == "accept"
        task.reason = event.reason
        if task.purpose == "undo":
            undone: TaskOutcome = "undone" if accepted else "undo_failed"
            undo_ended(state, run, task, undone, event.at)
        else:
            outcome: TaskOutcome = "succeeded" if accepted else "failed"
            finish_task(state, run, task, outcome, event.at)


def _end_early(state: State, run: RunState, event: Any, outcome: TaskOutcome) -> None:
    task = run.tasks[event.task]
    task.reason = event.reason
    was = task.status
    if task.purpose == "undo":
        undo_ended(state, run, task, "undo_failed", event.at)
    else:
        # If a probe cannot run, the result of the task stays unknown.
        finish_task(state, run, task, task.unconfirmed or outcome, event.at)
    _leave_line(state, run, task, was)


def _leave_line(state: State, run: RunState, task: TaskState, was: str) -> None:
    if was == "ready":
        dequeue(state, run, task)
    elif was == "retrying":
        drop_timer(state, run.submitted.run, task.task.id)


def _group_started(state: State, run: RunState, event: ev.GroupStarted) -> None:
    task = run.tasks[event.task]
    task.started_at = event.at
    _begin(state, run, event.at)
    state.due.pop((event.run, event.task), None)
    set_status(run, task, "running")
    if task.task.timeout_s is not None:
        set_timer(state, event.at + task.task.timeout_s, event.run, event.task)
    for child in run.children.get(event.task, ()):
        if not run.tasks[child].task.finalizer:
            dependency_met(state, run, run.tasks[child])
    if task.as_group().open_children == 0:
        state.due[(event.run, event.task)] = None
    else:
        run.ended_levels[event.task] = None


def _group_timed_out(state: State, run: RunState, event: ev.GroupTimedOut) -> None:
    drop_timer(state, event.run, event.task)
    group = run.tasks[event.task].as_group()
    group.worst_failure = worst_outcome(group.worst_failure, "timed_out")
    pending = [event.task]
    while pending:
        inside = pending.pop()
        run.tasks[inside].stop_level = 1
        for child_id in run.children.get(inside, ()):
            child = run.tasks[child_id]
            if child.task.finalizer:
                skip_finalizer(state, run, child)
                continue
            if isinstance(child.task.action, SubWorkflow):
                pending.append(child_id)
            was = child.status
            _cancel_or_signal(state, run, child, level=1, at=event.at)
            _leave_line(state, run, child, was)


def _group_finished(state: State, run: RunState, event: ev.GroupFinished) -> None:
    drop_timer(state, event.run, event.task)
    run.suspended.pop(event.task, None)
    finish_task(state, run, run.tasks[event.task], event.outcome, event.at)


def _cancel_requested(state: State, run: RunState, event: ev.CancelRequested) -> None:
    level = 2 if event.now else 1
    run.cancels += 1
    run.stop_level = max(run.stop_level, level)
    if run.cancels > 1:
        run.finalizer_stop_level = max(run.finalizer_stop_level, level)
    run.cancel_cause = run.cancel_cause or event.cause
    run.cancel_reason = run.cancel_reason or event.reason
    run.paused = run.frozen = False
    run.suspended.clear()
    drop_waiting(state, run)
    for task in run.tasks.values():
        level = run.stop_level_of(task)
        if level:
            _cancel_or_signal(state, run, task, level=level, at=event.at)
        else:
            keep_finalizer(state, run, task)
    if run.open_finalizers:
        run.ended_levels[""] = None


def _cancel_or_signal(
    state: State, run: RunState, task: TaskState, *, level: int, at: float
) -> None:
    """Cancel tasks that do not run; let running ones be stopped. A group ends last."""
    if task.status in ("waiting", "ready"):
        _cancel_before_start(state, run, task, at)
    elif task.status == "retrying":
        _cancel_silently(state, run, task, "cancelled", at)
    elif task.status == "held":
        _cancel_silently(state, run, task, task.outcome or "lost", at)
    elif isinstance(task.task.action, SubWorkflow):
        return
    elif task.status == "running" and task.stop_level < level:
        state.due[(run.submitted.run, task.task.id)] = None


def _cancel_before_start(
    state: State, run: RunState, task: TaskState, at: float
) -> None:
    """It was stopped before it, its probe or its undo started."""
    if task.purpose == "undo":
        keep_as_is(state, run, task, "the rollback was cancelled", at)
    elif task.task.finalizer and not (task.unconfirmed or task.counted_attempts):
        task.reason = _SECOND_CANCEL
        _cancel_silently(state, run, task, "skipped", at)
    else:
        if run.cancel_cause and _waits_for_any_end(task):
            task.reason = _NO_FINALIZER
        _cancel_silently(state, run, task, task.unconfirmed or "cancelled", at)


_SECOND_CANCEL = "a second cancel request skipped it"
_NO_FINALIZER = (
    'a cancel ends it although it needs on = "done"; `finally` has tasks that run'
    " after a cancel too"
)


def _waits_for_any_end(task: TaskState) -> bool:
    waits = task.status == "waiting" and task.purpose == "run"
    return waits and any(need.on == "done" for need in task.task.needs)


def _cancel_silently(
    state: State, run: RunState, task: TaskState, outcome: TaskOutcome, at: float
) -> None:
    """The task is cancelled together with its dependents: propagate nothing."""
    if task.purpose == "undo":
        set_outcome(state, run, task, "undo_failed", at)
    else:
        finish_task(state, run, task, outcome, at, spread=False)


def _run_paused(state: State, run: RunState, event: ev.RunPaused) -> None:
    pause(state, run, at=event.at, freeze=event.freeze)


def _run_resumed(state: State, run: RunState, event: ev.RunResumed) -> None:
    resume(state, run, at=event.at)


def _run_finished(state: State, run: RunState, event: ev.RunFinished) -> None:
    run.outcome = event.outcome
    run.finished_at = event.at
    run.paused = run.frozen = run.was_suspended = False
    run.suspended.clear()
    state.ending.pop(event.run, None)
    drop_timer(state, event.run, "")


_Handler = Callable[[State, RunState, Any], None]
_APPLY: Dict[Type[Any], _Handler] = {
    ev.OwnershipTaken: _ownership_taken,
    ev.AttemptStarted: _attempt_started,
    ev.AttemptAdopted: _attempt_adopted,
    ev.AttemptDiscarded: _attempt_discarded,
    ev.AttemptStopping: _attempt_stopping,
    ev.AttemptSuspended: _attempt_suspended,
    ev.AttemptResumed: _attempt_resumed,
    ev.AttemptFinished: _attempt_finished,
    ev.ProgressReported: _progress_reported,
    ev.RetryDue: _retry_due,
    ev.ProbeDue: _probe_due,
    ev.TaskHeld: _task_held,
    ev.TaskResolved: _task_resolved,
    ev.TaskSkipped: partial(_end_early, outcome="skipped"),
    ev.TaskFailed: partial(_end_early, outcome="failed"),
    ev.GroupStarted: _group_started,
    ev.GroupTimedOut: _group_timed_out,
    ev.GroupFinished: _group_finished,
    ev.CancelRequested: _cancel_requested,
    ev.RunPaused: _run_paused,
    ev.RunResumed: _run_resumed,
    ev.RetryRequested: reopen_tasks,
    ev.RollbackRequested: roll_back,
    ev.RunFinished: _run_finished,
}
