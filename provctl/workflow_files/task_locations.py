"""Finds the locations of tasks in their workflow file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Sequence

from provctl.errors import ProvctlError
from provctl.workflow_files.load import read_document
from provctl.workflow_files.platform.detect import is_platform_file
from provctl.workflow_files.platform.translate import (
    convert_platform_file,
)
from provctl.workflow_files.problems import ValidationIssue, ValidationIssues

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from provctl.workflow_files.load import LoadContext
    from provctl.workflow_files.problems import DocPath, SourceLocation


def locate_tasks(
    path: FilePath,
    params: Mapping[str, Any],
    ids: Sequence[str],
    *,
    context: LoadContext,
) -> Dict[str, SourceLocation]:
    """Return the locations of tasks by their flat ids; without those not found.

    The file is read again with the parameters of the run. If it has changed or is gone,
    nothing is returned.
    """
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in params.items()
    }
    try:
        document = read_document(path, texts, ValidationIssues(), context)
        value, original = document.value, _itself
        if is_platform_file(value):
            translation = convert_platform_file(value, ValidationIssues())
            value, original = translation.value, translation.origin
        paths = {each: _path_of(each, value) for each in ids}
        known = {each: original(at) for each, at in paths.items() if at is not None}
        asked = [ValidationIssue(at, "", on_key=_is_name(at)) for at in known.values()]
        places = zip(known, document.places(asked))
        return {each: place for each, place in places if place is not None}
    except (ProvctlError, OSError):
        return {}


def _itself(path: DocPath) -> DocPath:
    return path


def _is_name(path: DocPath) -> bool:
    return bool(path) and isinstance(path[-1], str)


def _path_of(task_id: str, value: Any) -> Optional[DocPath]:
    """The path of a task in the document, through the workflows around it."""
    path: DocPath = ()
    level = value
    for depth, name in enumerate(task_id.split("/")):
        if depth:
            path, level = (*path, "workflow"), _field(level, "workflow")
        field = "tasks" if _has(_field(level, "tasks"), name) else "finally"
        tasks = _field(level, field)
        if isinstance(tasks, list):
            found = [n for n, each in enumerate(tasks) if _field(each, "id") == name]
            if not found:
                return None
            path, level = (*path, field, found[0]), tasks[found[0]]
        elif _field(tasks, name) is not None:
            path, level = (*path, field, name), tasks[name]
        else:
            return None
    return path


def _has(tasks: Any, name: str) -> bool:
    if isinstance(tasks, list):
        return any(_field(each, "id") == name for each in tasks)
    return _field(tasks, name) is not None


def _field(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, dict) else None
