"""Converts a frozen workflow to workflow.json and back; defaults are left out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, Field, fields, replace
from typing import Any, Callable, Dict, Iterable, List, Tuple, Type

from provctl.core.model.workflow import (
    Action,
    Command,
    Dependency,
    Executable,
    NushellCall,
    Placement,
    RetryPolicy,
    Script,
    SubWorkflow,
    Task,
    Undo,
    Workflow,
)
from provctl.errors import JournalDamaged, JournalTooNew

FORMAT = 2

_HEAD = '{"v":0'
# Fields that format 1 lacks. An earlier version would drop them or take them for data.
# Data can contain the same texts; then the format is newer than necessary.
_SINCE_2 = (
    *('{"$outcome":', '{"$run":', ',"default":', ',"place":{', ',"secrets_once":'),
    *(',"finalizer":', ',"on_cancel":', ',"on_timeout":'),
)

_ACTIONS: Dict[str, Type[Any]] = {
    "call": NushellCall,
    "script": Script,
    "command": Command,
    "workflow": SubWorkflow,
}
_KIND = {cls: name for name, cls in _ACTIONS.items()}


def dump_workflow(workflow: Workflow) -> bytes:
    """Return the bytes of workflow.json. The labels are those of the submission.

    The format is the oldest one that has every feature that the workflow uses, so that
    earlier versions can read it.
    """
    record = {"v": 0, **_plain(workflow, skip=("tasks", "labels"))}
    record["tasks"] = [_freeze_task(task) for task in workflow.tasks]
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    version = FORMAT if any(key in text for key in _SINCE_2) else 1
    return f'{{"v":{version}{text[len(_HEAD) :]}'.encode("ascii")


def canonical_json(workflow: Workflow) -> str:
    """Return the workflow as JSON, without place and time of its submission.

    It is text because comparing values would treat 1 and true as equal.
    """
    bare = replace(workflow, cwd="/", environment={}, source="")
    record = json.loads(dump_workflow(bare))
    for task in record["tasks"]:
        for work in (task, task.get("undo", {}), task.get("probe", {})):
            work.get("script", {}).pop("line", None)
    return json.dumps(record, sort_keys=True)


def digest(frozen: bytes) -> str:
    """Return the SHA-256 of workflow.json as 64 hex digits."""
    return hashlib.sha256(frozen).hexdigest()


def load_workflow(frozen: bytes, where: str) -> Workflow:
    """Return the workflow. Raises JournalDamaged or JournalTooNew, naming `where`."""
    try:
        record = json.loads(frozen)
        version = record.pop("v")
        if version > FORMAT:
            message = f"{where}: format {version}, this version knows up to {FORMAT}"
            raise JournalTooNew(message)
        tasks = record.pop("tasks")
        parts = tuple(_thaw_task(index, task) for index, task in enumerate(tasks))
        return Workflow(tasks=parts, **record)
    except _NOT_A_WORKFLOW as problem:
        message = f"{where}: not a stored workflow: {problem}"
        raise JournalDamaged(message) from None


_NOT_A_WORKFLOW = (
    *(ValueError, TypeError, KeyError, AttributeError),
    *(RecursionError, RuntimeError),
)


def _freeze_task(task: Task) -> Dict[str, Any]:
    record = _plain(task, skip=("index", "action", *(name for name, _ in _PARTS)))
    record.update(_freeze_action(task.action))
    if task.needs:
        record["needs"] = [
            need.task if need.on == "success" else [need.task, need.on]
            for need in task.needs
        ]
    retry = _plain(task.retry)
    if retry:
        record["retry"] = retry
    place = _plain(task.place)
    if place:
        record["place"] = place
    if task.probe is not None:
        record["probe"] = _freeze_action(task.probe)
    if task.undo is not None:
        undo = _plain(task.undo, skip=("action", "retry"))
        undo.update(_freeze_action(task.undo.action), retry=_plain(task.undo.retry))
        record["undo"] = undo
    return record


def _freeze_action(action: Action) -> Dict[str, Any]:
    return {_KIND[type(action)]: _plain(action)}


def _thaw_task(index: int, record: Dict[str, Any]) -> Task:
    action = _thaw_action(record)
    for name, thaw_part in _PARTS:
        if name in record:
            record[name] = thaw_part(record[name])
    return Task(index=index, action=action, **record)


def _thaw_action(record: Dict[str, Any]) -> Any:
    """Remove the action from a record and return it."""
    for kind, action in _ACTIONS.items():
        if kind in record:
            values = record.pop(kind)
            for name in _LISTS:
                if name in values and isinstance(values[name], list):
                    values[name] = tuple(values[name])
            return action(**values)
    message = "a task has no action"
    raise ValueError(message)


_LISTS = ("args", "argv")


def _thaw_needs(needs: List[Any]) -> Tuple[Dependency, ...]:
    return tuple(
        Dependency(need) if isinstance(need, str) else Dependency(*need)
        for need in needs
    )


def _thaw_retry(values: Dict[str, Any]) -> RetryPolicy:
    return RetryPolicy(**{**values, "on": tuple(values.get("on", ()))})


def _thaw_undo(record: Dict[str, Any]) -> Undo:
    action: Executable = _thaw_action(record)
    retry = _thaw_retry(record.pop("retry", {}))
    return Undo(action, retry=retry, **record)


def _thaw_place(values: Dict[str, Any]) -> Placement:
    return Placement(**{**values, "labels": tuple(values.get("labels", ()))})


_PARTS: Tuple[Tuple[str, Callable[[Any], Any]], ...] = (
    ("needs", _thaw_needs),
    ("retry", _thaw_retry),
    ("probe", _thaw_action),
    ("place", _thaw_place),
    ("undo", _thaw_undo),
)


def _plain(value: Any, skip: Iterable[str] = ()) -> Dict[str, Any]:
    """Return the fields that differ from their default."""
    record = {}
    for name, default in _defaults(type(value)):
        content = getattr(value, name)
        if name not in skip and content != default:
            record[name] = content
    return record


def _defaults(kind: Type[Any]) -> List[Tuple[str, Any]]:
    return [(f.name, _default_of(f)) for f in fields(kind)]


def _default_of(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
