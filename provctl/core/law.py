"""Owns the law: which event fits which state.

A task moves only along these edges, each by the event named:

    waiting  -> ready      its last need is met and its condition holds (derived)
    waiting  -> running    GroupStarted                     (a nested workflow)
    waiting  -> finished   TaskSkipped, TaskFailed, CancelRequested, GroupTimedOut
    ready    -> running    AttemptStarted
    ready    -> finished   TaskSkipped, TaskFailed, CancelRequested, GroupTimedOut
    running  -> finished   AttemptFinished, GroupFinished
    running  -> finished   AttemptVoided, TaskHeld          (it was told to end)
    running  -> retrying   AttemptFinished with retry_at
    running  -> ready      AttemptVoided
    running  -> held       TaskHeld
    retrying -> ready      RetryDue
    retrying -> finished   CancelRequested, GroupTimedOut
    held     -> ready      TaskResolved rerun
    held     -> finished   TaskResolved accept or fail, CancelRequested, GroupTimedOut
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Tuple

from provctl.core import events as ev
from provctl.core.model import Group

if TYPE_CHECKING:
    from provctl.core.state import RunState, TaskState

__all__ = ["IllegalEvent", "misfit"]

_EDGES: Dict[type, Tuple[str, ...]] = {
    ev.AttemptStarted: ("ready",),
    ev.AttemptAdopted: ("running",),
    ev.AttemptVoided: ("running",),
    ev.AttemptStopping: ("running",),
    ev.AttemptFinished: ("running",),
    ev.RetryDue: ("retrying",),
    ev.TaskHeld: ("running",),
    ev.TaskResolved: ("held",),
    ev.TaskSkipped: ("waiting", "ready"),
    ev.TaskFailed: ("waiting", "ready"),
    ev.GroupStarted: ("waiting",),
    ev.GroupTimedOut: ("running",),
    ev.GroupFinished: ("running",),
}

_OF_GROUPS = (ev.GroupStarted, ev.GroupTimedOut, ev.GroupFinished)


class IllegalEvent(Exception):
    """An event that does not fit the state: a bug, or a journal of another run."""


def misfit(run: RunState, event: Any) -> str:
    """Return why an event does not fit its run; empty if it does."""
    if run.outcome is not None:
        return "the run is finished"
    if isinstance(event, ev.RunSubmitted):
        return "it was submitted already"
    if isinstance(event, ev.RunFinished):
        return f"{run.open_tasks} tasks are open" if run.open_tasks else ""
    froms = _EDGES.get(type(event))
    return "" if froms is None else _misfit_of_task(run, event, froms)


def _misfit_of_task(run: RunState, event: Any, froms: Tuple[str, ...]) -> str:
    task = run.tasks.get(event.task)
    if task is None:
        return "no such task"
    if task.status not in froms:
        return f"the task is {task.status}"
    if isinstance(event, _OF_GROUPS):
        return _misfit_of_group(task, event)
    attempt = getattr(event, "attempt", None)
    expected = task.attempt + isinstance(event, ev.AttemptStarted)
    if attempt is None or (attempt == expected and attempt > 0):
        return ""
    return f"the latest try is {task.attempt}"


def _misfit_of_group(group: TaskState, event: Any) -> str:
    if not isinstance(group.task.action, Group):
        return "it is not a nested workflow"
    if isinstance(event, ev.GroupStarted):
        return f"{group.unmet} needs are not met" if group.unmet else ""
    if isinstance(event, ev.GroupFinished):
        return f"{group.open_children} tasks are open" if group.open_children else ""
    return ""
