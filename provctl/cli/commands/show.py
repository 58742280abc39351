"""The verbs that look back: `show` a run as it was, `replay` it, `diff` two."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import click

from provctl.cli.completion.param_types import RUN
from provctl.cli.session import Session, emit
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.engine.view import TaskView
    from provctl.core.model.workflow import Task, Workflow
    from provctl.storage.layout import RunDir


_TICK_S = 0.05



@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--at",
    metavar="TIME|SEQ",
    help="Show the run as it was at this time: 14:03:12 (today, local time), 2h (ago) or"
    " an ISO time; or after the journal record with this number.",
)
@click.pass_obj
def show(session: Session, run: str, at: Optional[str]) -> None:
    """Show a run as it is now, or as it was at a time or after a journal record."""
    from provctl.cli.commands.status import show_runs, show_state
    from provctl.runs.history.time_travel import state_at_record, state_at_time

    folder = session.run_dir(run)
    if at is None:
        show_runs(session, [folder.id], many=False)
    elif at.isdecimal():
        show_state(session, state_at_record(folder, int(at)))
    else:
        show_state(session, state_at_time(folder, _moment(at)))


def _moment(text: str) -> float:
    """A time that people write, as seconds since the epoch."""
    from provctl.base.timefmt import format_local, parse_time

    now = time.time()  # noqa: TID251  # ages are from now
    try:
        at = parse_time(text, now, end=True)
    except ValueError:
        message = f"--at {text}: no time, and no number of a record"
        hint = "14:03:12, 2h, 2026-05-04T12:00:00Z or a number as in journal tail"
        raise UsageError(message, hint=hint) from None
    if int(at) > now:
        message = f"--at {text}: that is {format_local(at)}, which is still to come"
        hint = "a time without a date is one of today"
        raise UsageError(message, hint=hint)
    return at


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1e6),
    default=10.0,
    show_default=True,
    help="Playback speed; 1 is the original speed.",
)
@click.pass_obj
def replay(session: Session, run: str, speed: float) -> None:
    """Play a run back from its journal. Ctrl-C stops it.

    Only progress sent through the API is replayed; PROGRESS: lines in logs carry no
    timestamps.
    """
    from provctl.cli.watching.open_view import open_replay
    from provctl.runs.history.time_travel import JournalPlayer

    retold = JournalPlayer(session.run_dir(run))
    began, clock_began = retold.run.submitted.at, time.monotonic()

    def now() -> float:
        return began + (time.monotonic() - clock_began) * speed

    try:
        with open_replay(session, now, speed) as screen:
            while retold.next_at is not None:
                left_s = (retold.next_at - now()) / speed
                if left_s > 0:
                    screen.on_tick([retold.run])
                    time.sleep(min(left_s, _TICK_S))
                else:
                    screen.on_update(retold.run, [retold.step()])
            screen.close([retold.run])
    except KeyboardInterrupt:
        sys.exit(130)


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
        follower.read()
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
        click.echo("no difference")


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
        rows += _fields(name, _task_result(pair[0], views[0]), _task_result(pair[1], views[1]))
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
    """What the workflow says of a task, but for its place in the table."""
    from dataclasses import asdict

    return {key: value for key, value in asdict(task).items() if key != "index"}


def _task_result(task: TaskState, seen: TaskView) -> Dict[str, object]:
    """How a task went; times only where they differ by what people would notice."""
    return {
        "status": seen.unattended or task.outcome or task.status,
        "stale": seen.stale or None,
        "attempts": task.counted_attempts,
        "exit_code": task.exit_code,
        "output": task.output,
        "duration": _duration(task),
    }


def _duration(task: TaskState) -> Optional[str]:
    from provctl.render.text import elapsed

    return elapsed(task.started_at, task.finished_at) or None


def _row(what: str, field: str, first: object, second: object) -> Dict[str, Any]:
    return {"what": what, "field": field, "first": first, "second": second}
