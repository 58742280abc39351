"""Prints one run and its tasks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import click

from provctl.base.text import plain
from provctl.cli.run_list import labels_line
from provctl.cli.session import Session, emit

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState
    from provctl.core.engine.view import RunView, TaskView
    from provctl.runs.follow import Follower


def show_runs(session: Session, ids: List[str], *, many: bool) -> None:
    """Print runs with their tasks; as one record, or with `many` as a list."""
    from provctl.runs.follow import Follower

    records = []
    pictures = []
    for run_id in ids:
        follower = Follower(session.folder.run(run_id))
        follower.read_state()
        pictures.append(_view_of(session, follower))
        records.append(_record(pictures[-1], owned=_is_owned(follower)))
        _add_slack(session, records[-1], follower.run)
    if session.output == "table":
        for record, picture in zip(records, pictures):
            # Whether tasks of an orphaned run still run is unknown.
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
    """Print one record as JSON, in the requested form."""
    import json

    indent = None if session.output == "jsonl" else 2
    click.echo(json.dumps(record, indent=indent))


def _view_of(session: Session, follower: Follower) -> RunView:
    """The view of a run, with the last messages of its tasks and their states."""
    from provctl.core.engine.view import view
    from provctl.runs.task_progress import TaskProgressReader

    run, left = follower.run, follower.unattended()
    seen = TaskProgressReader(session.folder).last(run, view(run, unattended=left))
    return as_submitted(session, seen, owned=follower.was_owned)


def as_submitted(session: Session, picture: RunView, *, owned: bool) -> RunView:
    """Return the view of a run; its status is incomplete if its submission is."""
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
    """Print a run as in a state, whoever owns it now."""
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
    from provctl.api.records import run_record, task_record

    record = run_record(picture, owned=owned)
    record["tasks"] = [task_record(task) for task in picture.tasks]
    return record


def _add_slack(session: Session, record: Dict[str, Any], run: RunState) -> None:
    """Add the slack of tasks: for programs, and after all have finished."""
    if session.output in ("table", "name"):
        return
    chart = None
    if run.finished_at is not None and not run.rolling_back:
        from provctl.runs.history.estimates import critical_path_of_run

        chart = critical_path_of_run(run, run.finished_at)
    for task in record["tasks"]:
        known = chart if task["started_at"] is not None else None
        task["critical"] = task["id"] in known.critical if known else None
        task["slack_s"] = known.timings[task["id"]].slack_s if known else None


def run_title(picture: RunView) -> str:
    """Return the title line of a run: name, id, status and reason."""
    how = picture.outcome or picture.status
    why = f": {picture.reason}" if picture.reason else ""
    return plain(f"{picture.name}  {picture.id}  {how}{why}")


def ownerless_hint(session: Session, picture: RunView) -> str:
    """Return the message for an unfinished run without an owner: how to continue it.

    `picture` is that of `as_submitted`.
    """
    go_on = f"provctl resume {picture.id}"
    if picture.status == "incomplete":
        remove = session.called.with_flags(f"provctl rm {picture.id}")
        return (
            "the submitting process was killed before this run was queued. Continue"
            " or remove it:"
            f" {session.called.with_flags(go_on)}, or {remove}"
        )
    if picture.id in session.folder.queued():
        go_on = "provctl scheduler start"
    return (
        "this run is stalled, because no process owns it. To continue it:"
        f" {session.called.with_flags(go_on)}"
    )


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
    resume = session.called.with_flags(f"provctl resume {record['id']}")
    if record["status"] == "paused" and record["owned"]:
        click.echo(f"to resume it: {resume}")
    elif record["outcome"] is None and not record["owned"]:
        click.echo(ownerless_hint(session, picture))
    rows = [
        {
            **task,
            "status": _state_of(seen),
            "duration": elapsed(
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
    columns = ("id", "status", "duration", "attempts", "exit", "reason")
    emit(session, rows, columns, name="id")
    for line in (*remaining_resources(picture), *cleanup_notes(picture)):
        click.echo(line)
    for seen in picture.tasks:
        if seen.status == "held":
            click.echo(f"{plain(seen.id)} is held; check its effects, then resolve it:")
            for line in resolve_commands(picture.id, seen.id, session.called.program):
                click.echo(line)


def _state_of(seen: TaskView) -> str:
    from provctl.render.text import activity, state_of

    state = activity(seen) if seen.status == "running" else state_of(seen)
    return f"{state}, stale" if seen.stale else state
