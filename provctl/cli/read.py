"""Owns the verbs that only look: `list`, `status`, `outputs`. None needs a scheduler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Set, Tuple

import click

from provctl.cli.choice import Choice, chosen
from provctl.cli.context import Session, emit, plain
from provctl.cli.times import iso, local
from provctl.cli.words import RUN, RUN_OR_TASK, STATUS, TASK

if TYPE_CHECKING:
    from provctl.app.follow import Follower
    from provctl.core.state import RunState
    from provctl.core.view import RunView
    from provctl.journal.summary import RunSummary

__all__ = [
    "headline",
    "list_runs",
    "outputs",
    "run_rows",
    "show_runs",
    "show_state",
    "status",
    "unowned",
    "wanted_words",
]


@click.command("list")
@click.option(
    "--status",
    "wanted",
    metavar="WORD[,WORD]...",
    type=STATUS,
    help="Only with one of these statuses or outcomes.",
)
@chosen
@click.option(
    "-n", "--last", metavar="N", type=click.IntRange(1), help="Only the last N."
)
@click.pass_obj
def list_runs(
    session: Session, choice: Choice, wanted: Optional[str], last: Optional[int]
) -> None:
    """List runs, the latest last."""

    words = None if wanted is None else wanted_words(wanted)
    runs = choice.of(session.accounts())
    if words is not None:
        runs = [run for run in runs if words & {run.status, run.outcome}]
    shown = runs[-last:] if last else runs
    rows = list(map(_cells, shown)) if session.output == "table" else run_rows(shown)
    columns: Tuple[str, ...] = ("id", "name", "status", "outcome", "tasks", "created")
    if any(run.labels for run in shown):
        columns = (*columns, "labels")
    emit(session, rows, columns, name="id")


def _cells(run: RunSummary) -> Dict[str, Any]:
    """What people are shown of a run in a list."""
    status = run.status
    # Of a submitted run that waits for its turn this is no news.
    if not run.owned and status in ("running", "cancelling"):
        status += ", without an owner"
    return {
        "id": run.id,
        "name": run.name,
        "status": status,
        "outcome": run.outcome,
        "tasks": run.tasks,
        "created": local(run.created_at),
        "labels": labels_line(run.labels) if run.labels else None,
    }


def wanted_words(text: str) -> Set[Optional[str]]:
    """Return the statuses and outcomes that a text names. Raises UsageProblem."""
    from provctl.cli.states import check_word, run_words

    return {check_word(word, run_words(), "--status") for word in text.split(",")}


def labels_line(labels: Mapping[str, str]) -> str:
    """Return labels as people write them, in one line."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def run_rows(runs: List[RunSummary]) -> List[Dict[str, Any]]:
    """Return runs as records."""
    return [
        {
            "id": run.id,
            "name": run.name,
            "status": run.status,
            "outcome": run.outcome,
            "created_at": iso(run.created_at),
            "created": local(run.created_at),
            "finished_at": iso(run.finished_at),
            "tasks": run.tasks,
            "priority": run.priority,
            "batch": run.batch,
            "labels": dict(run.labels),
            "owned": run.owned,
            **({"damage": run.damage} if run.damage else {}),
        }
        for run in runs
    ]


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.pass_obj
def status(session: Session, run: str) -> None:
    """Show a run and its tasks."""
    from provctl.app.select import find_run

    show_runs(session, [find_run(session.folder, run)], many=False)


def show_runs(session: Session, ids: List[str], *, many: bool) -> None:
    """Print runs with their tasks; as one record, or with `many` as a list."""
    from provctl.app.follow import Follower

    records = []
    pictures = []
    for run_id in ids:
        follower = Follower(session.folder.run(run_id))
        follower.read()
        pictures.append(_with_progress(session, follower.run))
        records.append(_record_of(follower, pictures[-1]))
        _add_slack(session, records[-1], follower.run)
    if session.output == "table":
        for record, picture in zip(records, pictures):
            # Of what nobody owns it is not known that it goes on.
            now = time.time() if record["owned"] else None  # noqa: TID251  # for people only
            _print_record(session, record, picture, now)
    elif session.output == "name":
        for record in records:
            click.echo(record["id"])
    elif session.output == "jsonl":
        for record in records:
            _print_json(session, record)
    else:
        _print_json(session, records if many else records[0])


def _print_json(session: Session, record: object) -> None:
    import json

    indent = None if session.output == "jsonl" else 2
    click.echo(json.dumps(record, indent=indent))


def _with_progress(session: Session, run: RunState) -> RunView:
    """The picture of a run, with what its running tasks said last."""
    from provctl.core.view import view

    picture = view(run)
    if run.outcome is not None:
        return picture
    from dataclasses import replace

    from provctl.app.said import Said

    said = Said(session.folder)
    tasks = tuple(
        replace(seen, progress=said.newest(run, run.tasks[seen.id]))
        if seen.status == "running" and seen.attempt
        else seen
        for seen in picture.tasks
    )
    return replace(picture, tasks=tasks)


def show_state(session: Session, run: RunState) -> None:
    """Print a run as it is in a state, whoever has it now."""
    from provctl.core.view import view

    picture = view(run)
    record = _record(picture, owned=picture.outcome is None, unattended={})
    _add_slack(session, record, run)
    if session.output == "table":
        _print_record(session, record, picture, run.last_at)
    elif session.output == "name":
        click.echo(record["id"])
    else:
        _print_json(session, record)


def _record_of(follower: Follower, picture: RunView) -> Dict[str, Any]:
    unfinished = picture.outcome is None
    owned = unfinished and follower.owned
    unattended = follower.unattended() if unfinished and not owned else {}
    return _record(picture, owned=owned, unattended=unattended)


def _record(
    picture: RunView, *, owned: bool, unattended: Mapping[str, str]
) -> Dict[str, Any]:
    return {
        "id": picture.id,
        "name": picture.name,
        "status": picture.status,
        "outcome": picture.outcome,
        "reason": picture.reason,
        "created_at": iso(picture.created_at),
        "started_at": iso(picture.started_at),
        "finished_at": iso(picture.finished_at),
        "priority": picture.priority,
        "batch": picture.batch,
        "labels": dict(picture.labels),
        "owned": owned,
        "counts": dict(picture.counts),
        "tasks": [
            {
                "id": task.id,
                "status": task.status,
                "outcome": task.outcome,
                "attempts": task.attempt,
                "exit_code": task.exit_code,
                "signal": task.signal,
                "started_at": iso(task.started_at),
                "finished_at": iso(task.finished_at),
                "reason": unattended.get(task.id, task.reason),
                "purpose": task.purpose,
                "progress": task.progress.percent,
                "message": task.progress.message,
                "frozen": task.frozen,
                "survivors": task.survivors,
                "stuck": task.stuck,
                "log_dropped_bytes": task.log_dropped_bytes,
            }
            for task in picture.tasks
        ],
    }


def _add_slack(session: Session, record: Dict[str, Any], run: RunState) -> None:
    """Say of tasks what they decided: for programs, and once all have ended."""
    if session.output in ("table", "name"):
        return
    chart = None
    if run.finished_at is not None and not run.rolling_back:
        from provctl.app.expected import chart_of_run

        chart = chart_of_run(run, run.finished_at)
    for task in record["tasks"]:
        told = chart if task["started_at"] is not None else None
        task["critical"] = task["id"] in told.critical if told else None
        task["slack_s"] = told.timings[task["id"]].slack_s if told else None


def headline(picture: RunView) -> str:
    """Return the line that a run begins with: what it is, where, and why if it was ended."""
    how = picture.outcome or picture.status
    why = f": {picture.reason}" if picture.reason else ""
    return plain(f"{picture.name}  {picture.id}  {how}{why}")


def unowned(session: Session, run_id: str) -> str:
    """Return what to say of an unfinished run that nobody owns: what would move it."""
    go_on = f"provctl workflow resume {run_id}"
    if run_id in session.folder.queued():
        go_on = "provctl scheduler start"
    return f"nobody owns this run, so it does not go on: {session.called.retold(go_on)}"


def _print_record(
    session: Session, record: Dict[str, Any], picture: RunView, now: Optional[float]
) -> None:
    from provctl.ui.lines import (
        aftermath,
        at_work,
        decisions,
        elapsed,
        progress_of,
        state_of,
        what_stands,
    )

    click.echo(headline(picture))
    if record["labels"]:
        click.echo(f"labels: {plain(labels_line(record['labels']))}")
    resume = session.called.retold(f"provctl workflow resume {record['id']}")
    if record["status"] == "paused" and record["owned"]:
        click.echo(f"let it go on: {resume}")
    elif record["outcome"] is None and not record["owned"]:
        click.echo(unowned(session, record["id"]))
    rows = [
        {
            **task,
            "status": at_work(seen) if seen.status == "running" else state_of(seen),
            "took": elapsed(
                seen.started_at,
                seen.finished_at,
                now if seen.status == "running" else None,
            )
            or None,
            "exit": task["exit_code"],
            "reason": task["reason"] or progress_of(seen),
        }
        for task, seen in zip(record["tasks"], picture.tasks)
    ]
    columns = ("id", "status", "took", "attempts", "exit", "reason")
    emit(session, rows, columns, name="id")
    for line in (*what_stands(picture), *aftermath(picture)):
        click.echo(line)
    for seen in picture.tasks:
        if seen.status == "held":
            click.echo(f"{plain(seen.id)} is held; see what it did, then decide:")
            for line in decisions(picture.id, seen.id, session.called.program):
                click.echo(line)


@click.command()
@click.argument("run", metavar="RUN[/TASK]", type=RUN_OR_TASK)
@click.argument("task", required=False, type=TASK)
@click.argument("path", required=False)
@click.pass_obj
def outputs(
    session: Session, run: str, task: Optional[str], path: Optional[str]
) -> None:
    """Print what tasks returned, as JSON: of all, of TASK, or one value at PATH."""
    from provctl.app.follow import Follower
    from provctl.app.select import find_run
    from provctl.core.requests import no_task
    from provctl.core.values import ValueMissing, resolve
    from provctl.errors import NotFound, UsageProblem

    run, *named = run.split("/", 1)
    if named and path is not None:
        message = f"two tasks are named, {named[0]} and {task}"
        raise UsageProblem(message, hint="RUN TASK PATH, or RUN/TASK PATH")
    if named:
        task, path = named[0], task
    follower = Follower(session.folder.run(find_run(session.folder, run)))
    follower.read()
    tasks = follower.run.tasks
    if task is None:
        found: Any = {
            name: state.output
            for name, state in tasks.items()
            if state.output is not None
        }
    elif task not in tasks:
        raise no_task(follower.run, task)
    else:
        wanted = {"$output": {"task": task, "path": path or ""}}
        try:
            found = resolve(wanted, follower.run.output_of)
        except ValueMissing as missing:
            raise NotFound(str(missing)) from None
    _print_json(session, found)
