"""`provctl diff`: what differs between two runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import click

from provctl.cli.completion.param_types import RUN
from provctl.cli.session import Session, emit

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.engine.view import TaskView
    from provctl.core.model.workflow import Task, Workflow


@click.command()
@click.argument("one", metavar="RUN", type=RUN)
@click.argument("other", metavar="RUN", type=RUN)
@click.pass_obj
def diff(session: Session, one: str, other: str) -> None:
    """Compare two runs: parameters, tasks, outcomes and durations."""
    from provctl.core.engine.view import view
    from provctl.runs.follow import Follower

    runs = []
    pictures = []
    for name in (one, other):
        follower = Follower(session.run_dir(name))
        follower.read_state()
        runs.append(follower.run)
        picture = view(follower.run, unattended=follower.unattended())
        pictures.append({seen.id: seen for seen in picture.tasks})
    rows = _of_workflows(*(run.workflow for run in runs))
    rows += _of_tasks(runs[0], runs[1], pictures)
    columns = ("what", "field", "first", "second")
    if rows or session.output != "table":
        shown = rows if session.output != "table" else list(map(_shorten_cells, rows))
        emit(session, shown, columns, name="what")
    else:
        click.echo("no differences")


def _shorten_cells(row: Mapping[str, Any]) -> Dict[str, Any]:
    """A row for a table: both values as JSON that fits beside the other."""
    short = {key: _shorten(row[key]) for key in ("first", "second")}
    return {**row, **short}


def _shorten(value: Any) -> Optional[str]:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _CELL else text[: _CELL - 3] + "..."


_CELL = 40  # characters


def _of_workflows(one: Workflow, other: Workflow) -> List[Dict[str, Any]]:
    rows = [
        _row("param", name, one.params.get(name), other.params.get(name))
        for name in sorted({*one.params, *other.params})
        if one.params.get(name) != other.params.get(name)
    ]
    for name in ("name", "library", "cwd", "source", "timeout_s"):
        values = getattr(one, name), getattr(other, name)
        if values[0] != values[1]:
            rows.append(_row("workflow", name, *values))
    return rows


def _of_tasks(
    one: RunState, other: RunState, seen: Sequence[Mapping[str, TaskView]]
) -> List[Dict[str, Any]]:
    rows = []
    for name in dict.fromkeys([*one.tasks, *other.tasks]):
        pair = one.tasks.get(name), other.tasks.get(name)
        if pair[0] is None or pair[1] is None:
            there = ["there" if task else None for task in pair]
            rows.append(_row(name, "task", *there))
            continue
        rows += _fields(name, _definition(pair[0].task), _definition(pair[1].task))
        views = seen[0][name], seen[1][name]
        rows += _fields(
            name, _task_result(pair[0], views[0]), _task_result(pair[1], views[1])
        )
    return rows


def _fields(
    name: str, one: Mapping[str, object], other: Mapping[str, object]
) -> List[Dict[str, Any]]:
    """The values that differ, as deep inside as the difference is."""
    rows = []
    pending: List[Tuple[str, Any, Any]] = [("", one, other)]
    while pending:
        field, first, second = pending.pop()
        if first == second:
            continue
        names = _shared_names(first, second)
        if names is None:
            rows.append(_row(name, field, first, second))
            continue
        for part in reversed(names):
            inner = f"{field}.{part}" if field else str(part)
            pending.append((inner, _at(first, part), _at(second, part)))
    return rows


def _shared_names(one: Any, other: Any) -> Optional[List[Any]]:
    """What to look into, if both are records, or lists of one length; else None."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(dict.fromkeys([*one, *other]))
    lists = isinstance(one, (list, tuple)) and isinstance(other, (list, tuple))
    return list(range(len(one))) if lists and len(one) == len(other) else None


def _at(value: Any, name: Any) -> Any:
    return value.get(name) if isinstance(value, dict) else value[name]


def _definition(task: Task) -> Dict[str, object]:
    """The definition of a task, without its index."""
    from dataclasses import asdict

    return {key: value for key, value in asdict(task).items() if key != "index"}


def _task_result(task: TaskState, seen: TaskView) -> Dict[str, object]:
    """How a task went; times only where they differ by what people would notice."""
    return {
        "status": seen.unattended or task.outcome or task.status,
        "stale": seen.stale or None,
        "attempts": task.counted_attempts,
        "exit_code": task.result.exit_code,
        "output": task.output,
        "duration": _duration(task),
    }


def _duration(task: TaskState) -> Optional[str]:
    from provctl.render.text import elapsed

    return elapsed(task.started_at, task.finished_at) or None


def _row(what: str, field: str, first: object, second: object) -> Dict[str, Any]:
    return {"what": what, "field": field, "first": first, "second": second}
