"""The transition table: which event is legal in which state.

A task moves only along these edges, each by the event named:

    waiting  -> ready      its last dependency is met and its condition holds (derived)
    waiting  -> running    GroupStarted                     (a nested workflow)
    waiting  -> finished   TaskSkipped, TaskFailed, CancelRequested, GroupTimedOut
    waiting  -> finished   AttemptFinished, TaskResolved    (an earlier undo failed)
    ready    -> running    AttemptStarted
    ready    -> finished   TaskSkipped, TaskFailed, CancelRequested, GroupTimedOut
    running  -> finished   AttemptFinished, GroupFinished
    running  -> finished   AttemptDiscarded, TaskHeld       (it was asked to stop)
    running  -> retrying   AttemptFinished with retry_at
    running  -> ready      AttemptDiscarded, ProbeDue
    running  -> held       TaskHeld
    retrying -> ready      RetryDue
    retrying -> finished   TaskFailed, CancelRequested, GroupTimedOut
    held     -> ready      TaskResolved rerun
    held     -> finished   TaskResolved accept or fail, CancelRequested, GroupTimedOut
    finished -> waiting    RetryRequested, RollbackRequested
    finished -> ready      RetryRequested, RollbackRequested
    retrying -> ready      RetryRequested                   (instead of at the end of its delay)
    ready    -> waiting    RetryRequested                   (a dependency is unfinished again)
    running  -> waiting    AttemptDiscarded                 (the same)
    retrying -> waiting    RetryDue, RetryRequested         (the same)
    held     -> waiting    TaskResolved rerun               (the same)

While a run is rolled back the same edges lead from the undo of a task to its end;
then a task whose undo need not or must not run goes back to the outcome it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterable, Tuple

from provctl.core.engine import events as ev
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.status import TaskStatus


_EDGES: Dict[type, Tuple[TaskStatus, ...]] = {
    ev.AttemptStarted: ("ready",),
    ev.AttemptAdopted: ("running",),
    ev.AttemptDiscarded: ("running",),
    ev.AttemptStopping: ("running",),
    ev.AttemptSuspended: ("running",),
    ev.AttemptResumed: ("running",),
    ev.AttemptFinished: ("running",),
    ev.ProgressReported: ("running",),
    ev.RetryDue: ("retrying",),
    ev.ProbeDue: ("running",),
    ev.TaskHeld: ("running",),
    ev.TaskResolved: ("held",),
    ev.TaskSkipped: ("waiting", "ready"),
    ev.TaskFailed: ("waiting", "ready", "retrying"),
    ev.GroupStarted: ("waiting",),
    ev.GroupTimedOut: ("running",),
    ev.GroupFinished: ("running",),
}

# Events of an unfinished run, whatever its tasks are.
_AT_ANY_TIME = (ev.OwnershipTaken, ev.CancelRequested)

_OF_GROUPS = (ev.GroupStarted, ev.GroupTimedOut, ev.GroupFinished)


class InvalidTransition(Exception):
    """An event that does not fit the state: a bug, or a journal of another run."""


def transition_error(run: RunState, event: Any) -> str:
    """Return why an event does not fit its run; empty if it does."""
    if isinstance(event, _REOPENING):
        return _reopening_error(run, event)
    if run.outcome is not None:
        return "the run is finished"
    if isinstance(event, ev.RunSubmitted):
        return "it was already submitted"
    if isinstance(event, ev.RunFinished):
        return f"{run.open_tasks} tasks are unfinished" if run.open_tasks else ""
    if isinstance(event, ev.RunPaused):
        paused = run.paused and (run.frozen or not event.freeze)
        return "it is already paused" if paused else ""
    if isinstance(event, ev.RunResumed):
        return "" if run.paused else "it is not paused"
    if isinstance(event, _AT_ANY_TIME):
        return ""
    froms = _EDGES.get(type(event))
    if froms is None:
        return "the transition table does not list it"
    return _task_error(run, event, froms)


_REOPENING = (ev.RetryRequested, ev.RollbackRequested)


def _reopening_error(run: RunState, event: Any) -> str:
    is_retry = isinstance(event, ev.RetryRequested)
    names = event.tasks if is_retry else [event.to]
    fits = ("finished", "retrying") if is_retry else ("finished",)
    for name in filter(None, names):
        if name not in run.tasks:
            return f"there is no task {name}"
        if run.tasks[name].status not in fits:
            return f"task {name} is {run.tasks[name].status}"
    if run.outcome is not None:
        return ""
    undo_waits = is_retry and bool(names) and _all_wait(run, names)
    by_cancel = not is_retry and event.cause == "cancel"
    if run.stop_level and not by_cancel:
        return f"the run is {run.status}"
    if run.rolling_back and not undo_waits:
        return f"the run is {run.status}"
    if is_retry:
        return ""
    # One that follows from how the tasks ended comes before their finalizers.
    later = 0 if event.cause == "request" or run.finalizing else run.open_finalizers
    left = run.open_tasks - later
    return f"{left} tasks are unfinished" if left else ""


def _all_wait(run: RunState, names: Iterable[str]) -> bool:
    """Whether all of these tasks wait for their next attempt."""
    return all(run.tasks[name].status == "retrying" for name in names)


def _task_error(run: RunState, event: Any, froms: Tuple[TaskStatus, ...]) -> str:
    task = run.tasks.get(event.task)
    if task is None:
        return "no such task"
    if task.status not in froms:
        return f"the task is {task.status}"
    if isinstance(event, _OF_GROUPS):
        return _group_error(task, event)
    if isinstance(event, ev.ProbeDue) and task.task.probe is None:
        return "it has no probe"
    purpose = getattr(event, "purpose", task.purpose)
    if purpose != task.purpose:
        return f"its next attempt is for {task.purpose}"
    attempt = getattr(event, "attempt", None)
    expected = task.attempt + isinstance(event, ev.AttemptStarted)
    if attempt is None or (attempt == expected and attempt > 0):
        return ""
    return f"the latest attempt is {task.attempt}"


def _group_error(group: TaskState, event: Any) -> str:
    if not isinstance(group.task.action, SubWorkflow):
        return "it is not a nested workflow"
    if isinstance(event, ev.GroupStarted):
        return f"{group.unmet} needs are not met" if group.unmet else ""
    if isinstance(event, ev.GroupFinished):
        left = group.as_group().open_children
        return f"{left} tasks are unfinished" if left else ""
    return ""
