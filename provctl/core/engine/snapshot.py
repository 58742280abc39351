"""A run's state as plain data and back: the content of a checkpoint.

It works on all fields of `RunState` and `TaskState`, and stores only values that differ
from those of a new run. What follows from the workflow is built again; queues and used
resources follow from the states of the tasks.
"""

from __future__ import annotations

import dataclasses
import heapq
from typing import TYPE_CHECKING, Any, Dict, Type

from provctl.core.engine.run_queue import count_resources, enqueue
from provctl.core.engine.state import (
    AttemptState,
    GroupState,
    RetryDelay,
    RunState,
    TaskState,
)
from provctl.core.model.attempt_result import NO_RESULT, RESULT_FIELDS, AttemptResult
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.events import RunSubmitted
    from provctl.core.engine.state import State
    from provctl.core.model.workflow import Workflow


# `arrival` is a number of this owner; the next owner assigns its own.
_GIVEN = {
    *("submitted", "workflow", "arrival", "tasks", "task"),
    *("dependents", "children", "finalizers"),
}
# Dict keys, for fast lookup of each name; their order is kept.
_OF_RUN = dict.fromkeys(name for name in RunState.__slots__ if name not in _GIVEN)
_OF_TASK = dict.fromkeys(name for name in TaskState.__slots__ if name not in _GIVEN)

# Optional records, by the fields that hold them.
_RECORDS: Dict[str, Type[Any]] = {
    "latest": AttemptState,
    "previous": AttemptState,
    "result": AttemptResult,
    "delay": RetryDelay,
}
_IN_RECORDS = {
    AttemptState: AttemptState.__slots__,
    AttemptResult: RESULT_FIELDS,
    RetryDelay: tuple(field.name for field in dataclasses.fields(RetryDelay)),
    GroupState: GroupState.__slots__,
}

# Empty records; only differences from them are written.
_DEFAULTS: Dict[type, Any] = {
    AttemptState: AttemptState(),
    AttemptResult: NO_RESULT,
}

# The fields that must be the same in the writing and the reading version.
FIELDS = " ".join(
    (*_OF_RUN, "/", *_OF_TASK, *("/ " + " ".join(n) for n in _IN_RECORDS.values()))
)


def snapshot(state: State, run_id: str) -> Dict[str, Any]:
    """Return what is known of a run, as JSON values."""
    run = state.runs[run_id]
    fresh = RunState(run.submitted, run.workflow, run.arrival)
    tasks = {}
    for task_id, task in run.tasks.items():
        changed = _changed_fields(task, fresh.tasks[task_id], _OF_TASK)
        if changed:
            tasks[task_id] = changed
    return {
        "run": _changed_fields(run, fresh, _OF_RUN),
        "tasks": tasks,
        "due": [task for name, task in state.due if name == run_id],
        "ending": run_id in state.ending,
        "timers": [[when, task] for when, name, task in state.timers if name == run_id],
    }


def restore(
    state: State, submitted: RunSubmitted, workflow: Workflow, data: Dict[str, Any]
) -> None:
    """Restore a run in `state` from `data`.

    Raises KeyError, TypeError, ValueError or AttributeError if `data` is not of this
    run; then `state` has nothing of it.
    """
    run_id = submitted.run
    run = RunState(submitted, workflow, state.arrivals)
    for task_id, changed in data["tasks"].items():
        _put(run.tasks[task_id], changed, _OF_TASK)
    _put(run, data["run"], _OF_RUN)
    timers = [(float(when), run_id, str(task)) for when, task in data["timers"]]
    due = [(run_id, run.tasks[task].task.id) for task in data["due"]]
    busy = [run.tasks[task_id] for task_id in run.active]
    state.arrivals += 1
    state.runs[run_id] = run
    live = run.live
    for task in busy:
        if task.status == "running" and not isinstance(task.task.action, SubWorkflow):
            count_resources(state, run, task, +1)
    run.live = live
    for task in run.tasks.values():
        if task.status == "ready" and not run.paused:
            enqueue(state, run, task)
    state.due.update(dict.fromkeys(due))
    if data["ending"]:
        state.ending[run_id] = None
    for timer in timers:
        heapq.heappush(state.timers, timer)


def _changed_fields(thing: Any, fresh: Any, names: Any) -> Dict[str, Any]:
    changed = {}
    for name in names:
        value, before = getattr(thing, name), getattr(fresh, name)
        if isinstance(value, GroupState):
            if group := _changed_fields(value, before, GroupState.__slots__):
                changed[name] = group
        elif value != before:
            changed[name] = _as_plain(value)
    return changed


def _as_plain(value: Any) -> Any:
    """Return a record as a dict of its non-empty fields; anything else unchanged."""
    names = _IN_RECORDS.get(type(value))
    if names is None:
        return value
    default = _DEFAULTS.get(type(value))
    return {
        name: _as_plain(found)
        for name in names
        if (found := getattr(value, name)) != getattr(default, name, ...)
    }


def _as_record(name: str, value: Any) -> Any:
    """Return the record for a dict made by `_as_plain`."""
    kind = _RECORDS.get(name)
    if kind is None or value is None:
        return value
    return kind(**{field: _as_record(field, each) for field, each in value.items()})


def _put(thing: Any, values: Dict[str, Any], names: Any) -> None:
    if not values.keys() <= names.keys():
        message = f"no such fields: {values.keys() - names.keys()}"
        raise KeyError(message)
    for name, value in values.items():
        if name == "group":
            _put(thing.as_group(), value, dict.fromkeys(GroupState.__slots__))
        else:
            setattr(thing, name, _as_record(name, value))
