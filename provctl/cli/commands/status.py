"""The verbs that only look: `list`, `status`, `outputs`. None needs a scheduler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Set, Tuple

import click

from provctl.base.text import plain
from provctl.base.timefmt import format_iso, format_local
from provctl.cli.completion.param_types import RUN, RUN_OR_TASK, STATUS, TASK
from provctl.cli.options.run_filters import RunFilter, run_filter_options
from provctl.cli.session import Session, emit

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState
    from provctl.core.engine.view import RunView, TaskView
    from provctl.runs.follow import Follower
    from provctl.storage.run_summary import RunSummary


@click.command("list")
@click.option(
    "--status",
    "wanted",
    metavar="WORD[,WORD]...",
    type=STATUS,
    help="Only runs with one of these statuses or outcomes.",
)
@run_filter_options
@click.option(
    "-n", "--last", metavar="N", type=click.IntRange(1), help="Only the last N runs."
)
@click.pass_obj
def list_runs(
    session: Session, choice: RunFilter, wanted: Optional[str], last: Optional[int]
) -> None:
    """List runs, latest last."""

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
        "created": format_local(run.created_at),
        "labels": labels_line(run.labels) if run.labels else None,
    }


def wanted_words(text: str) -> Set[Optional[str]]:
    """Return the statuses and outcomes that a text names. Raises UsageError."""
    from provctl.cli.status_words import check_word, run_words

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
            "created_at": format_iso(run.created_at),
            "created": format_local(run.created_at),
            "finished_at": format_iso(run.finished_at),
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
    from provctl.runs.find import find_run

    show_runs(session, [find_run(session.folder, run)], many=False)


def show_runs(session: Session, ids: List[str], *, many: bool) -> None:
    """Print runs with their tasks; as one record, or with `many` as a list."""
    from provctl.runs.follow import Follower

    records = []
    pictures = []
    for run_id in ids:
        follower = Follower(session.folder.run(run_id))
        follower.read()
        pictures.append(_view_of(session, follower))
        records.append(_record(pictures[-1], owned=_is_owned(follower)))
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
            print_json(session, record)
    else:
        print_json(session, records if many else records[0])


def print_json(session: Session, record: object) -> None:
    import json

    indent = None if session.output == "jsonl" else 2
    click.echo(json.dumps(record, indent=indent))


def _view_of(session: Session, follower: Follower) -> RunView:
    """The picture of a run, with what its tasks said last, and what became of them."""
    from provctl.core.engine.view import view
    from provctl.runs.task_progress import TaskProgressReader

    run, left = follower.run, follower.unattended()
    seen = TaskProgressReader(session.folder).last(run, view(run, unattended=left))
    return as_submitted(session, seen, owned=follower.was_owned)


def as_submitted(session: Session, picture: RunView, *, owned: bool) -> RunView:
    """Return the picture of a run that says so if it was submitted by halves."""
    from dataclasses import replace

    from provctl.storage.run_summary import is_incomplete

    if picture.status != "queued" or owned:
        return picture
    if not is_incomplete(session.folder.run(picture.id)):
        return picture
    return replace(picture, status="incomplete")


def _is_owned(follower: Follower) -> bool:
    return follower.run.outcome is None and follower.was_owned


def show_state(session: Session, run: RunState) -> None:
    """Print a run as it is in a state, whoever has it now."""
    from provctl.core.engine.view import view

    picture = view(run)
    record = _record(picture, owned=picture.outcome is None)
    _add_slack(session, record, run)
    if session.output == "table":
        _print_record(session, record, picture, run.last_at)
    elif session.output == "name":
        click.echo(record["id"])
    else:
        print_json(session, record)


def _record(picture: RunView, *, owned: bool) -> Dict[str, Any]:
    return {
        "id": picture.id,
        "name": picture.name,
        "status": picture.status,
        "outcome": picture.outcome,
        "reason": picture.reason,
        "created_at": format_iso(picture.created_at),
        "started_at": format_iso(picture.started_at),
        "finished_at": format_iso(picture.finished_at),
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
                "started_at": format_iso(task.started_at),
                "finished_at": format_iso(task.finished_at),
                "reason": task.explanation,
                "stale": bool(task.stale),
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
        from provctl.runs.history.estimates import critical_path_of_run

        chart = critical_path_of_run(run, run.finished_at)
    for task in record["tasks"]:
        told = chart if task["started_at"] is not None else None
        task["critical"] = task["id"] in told.critical if told else None
        task["slack_s"] = told.timings[task["id"]].slack_s if told else None


def run_title(picture: RunView) -> str:
    """Return the line that a run begins with: what it is, where, and why if it was ended."""
    how = picture.outcome or picture.status
    why = f": {picture.reason}" if picture.reason else ""
    return plain(f"{picture.name}  {picture.id}  {how}{why}")


def ownerless_hint(session: Session, picture: RunView) -> str:
    """Return what to say of an unfinished run that nobody owns: what would move it.

    `picture` is that of `as_submitted`.
    """
    go_on = f"provctl workflow resume {picture.id}"
    if picture.status == "incomplete":
        remove = session.called.with_flags(f"provctl workflow rm {picture.id}")
        return (
            "who submitted this run was killed before it was queued, so nobody has it:"
            f" {session.called.with_flags(go_on)}, or {remove}"
        )
    if picture.id in session.folder.queued():
        go_on = "provctl scheduler start"
    return f"nobody owns this run, so it does not go on: {session.called.with_flags(go_on)}"


def _print_record(
    session: Session, record: Dict[str, Any], picture: RunView, now: Optional[float]
) -> None:
    from provctl.render.text import (
        cleanup_notes,
        elapsed,
        progress_of,
        remaining_resources,
        resolve_commands,
    )

    click.echo(run_title(picture))
    if record["labels"]:
        click.echo(f"labels: {plain(labels_line(record['labels']))}")
    resume = session.called.with_flags(f"provctl workflow resume {record['id']}")
    if record["status"] == "paused" and record["owned"]:
        click.echo(f"let it go on: {resume}")
    elif record["outcome"] is None and not record["owned"]:
        click.echo(ownerless_hint(session, picture))
    rows = [
        {
            **task,
            "status": _state_of(seen),
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
    for line in (*remaining_resources(picture), *cleanup_notes(picture)):
        click.echo(line)
    for seen in picture.tasks:
        if seen.status == "held":
            click.echo(f"{plain(seen.id)} is held; see what it did, then decide:")
            for line in resolve_commands(picture.id, seen.id, session.called.program):
                click.echo(line)


def _state_of(seen: TaskView) -> str:
    from provctl.render.text import activity, state_of

    state = activity(seen) if seen.status == "running" else state_of(seen)
    return f"{state}, stale" if seen.stale else state


@click.command()
@click.argument("run", metavar="RUN[/TASK]", type=RUN_OR_TASK)
@click.argument("task", required=False, type=TASK)
@click.argument("path", required=False)
@click.pass_obj
def outputs(
    session: Session, run: str, task: Optional[str], path: Optional[str]
) -> None:
    """Print the values that tasks returned, as JSON.

    Print those of all tasks, that of TASK, or the part of it at PATH. Tasks that were
    undone have no output.
    """
    from provctl.cli.commands.monitor import interrupted_hint
    from provctl.core.engine.reopen import why_stale
    from provctl.core.engine.requests import no_task
    from provctl.core.model.expressions import ValueMissing, resolve
    from provctl.errors import NotFound, UsageError
    from provctl.runs.find import find_run
    from provctl.runs.follow import Follower

    run, *named = run.split("/", 1)
    if named and path is not None:
        message = f"two tasks are named, {named[0]} and {task}"
        raise UsageError(message, hint="RUN TASK PATH, or RUN/TASK PATH")
    if named:
        task, path = named[0], task
    follower = Follower(session.folder.run(find_run(session.folder, run)))
    follower.read()
    tasks = follower.run.tasks
    stale = why_stale(follower.run)
    gone = {name for name in stale if tasks[name].outcome != "succeeded"}
    told = {}
    if task is None:
        found: Any = {
            name: state.output
            for name, state in tasks.items()
            if state.output is not None and name not in gone
        }
        told = {name: stale[name] for name in found if name in stale}
    elif task not in tasks:
        raise no_task(follower.run, task)
    elif task in gone:
        message = f"{task} has no output: it {stale[task]}"
        raise NotFound(message)
    else:
        told = {task: stale[task]} if task in stale else {}
        wanted = {"$output": {"task": task, "path": path or ""}}
        # A call that returned `success: false` has failed, and has an output.
        own = tasks[task].output
        try:
            found = resolve(
                wanted, follower.run.output_of if own is None else lambda _task: own
            )
        except ValueMissing as missing:
            hint = follower.unattended().get(task)
            raise NotFound(str(missing), hint=hint) from None
    for name, why in told.items():
        interrupted_hint(f"{plain(name)} {plain(why)}")
    print_json(session, found)
