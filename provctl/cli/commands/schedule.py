"""`provctl schedule`: workflows that are submitted at the times of an expression."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import click
from click.shell_completion import CompletionItem

from provctl.base.text import plain
from provctl.base.timefmt import format_local
from provctl.cli.options.confirm import DECLINED, confirm, yes_option
from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.options.run_filters import label_filter_option, label_option
from provctl.cli.options.run_options import run_options
from provctl.cli.run_list import labels_line
from provctl.cli.session import (
    Session,
    emit,
    plural,
    print_hint,
    print_message,
    session_of,
    warn_version,
)
from provctl.core.model.schedule import CATCH_UP, OVERLAP, paused, resumed
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from provctl.core.model.labels import Condition
    from provctl.core.model.schedule import Schedule, ScheduleState
    from provctl.schedules.status import ScheduleStatus
    from provctl.storage.schedules import Schedules


class _Name(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """The name of a schedule; completed from disk."""

    name = "schedule"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> List[CompletionItem]:
        try:
            names = _schedules(session_of(ctx)).names()
        except ProvctlError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_NAME = _Name()


def _schedules(session: Session) -> Schedules:
    from provctl.storage.schedules import Schedules

    return Schedules(session.folder)


@click.group(cls=SuggestingGroup)
def schedule() -> None:
    """Run workflows at certain times.

    Requires the background scheduler to be running. Each time starts one run.
    """


@schedule.command()
@click.argument("file", type=click.Path(dir_okay=True))
@click.option(
    "--cron",
    required=True,
    metavar="EXPR",
    help='Cron expression, such as "0 3 * * *".',
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the schedule (default: that of the workflow).",
)
@click.option(
    "--time-zone", metavar="ZONE", help="Time zone (default: that of this machine)."
)
@click.option(
    "--catch-up",
    type=click.Choice(CATCH_UP),
    default="latest",
    show_default=True,
    help="Which missed times to run when the scheduler was not running.",
)
@click.option(
    "--overlap",
    type=click.Choice(OVERLAP),
    default="skip",
    show_default=True,
    help="What to do if the previous run is still active.",
)
@run_options
@label_option
@click.pass_obj
def add(
    session: Session,
    file: str,
    cron: str,
    name: Optional[str],
    time_zone: Optional[str],
    catch_up: str,
    overlap: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    labels: Tuple[Tuple[str, str], ...],
) -> None:
    """Submit a workflow FILE at the times of a cron expression.

    Its fields are minute, hour, day of month, month and day of week; @hourly, @daily,
    @weekly and @monthly work too. The file is checked now and read again each time, so
    edits apply from the next time on. Its runs use the current folder and environment.
    """
    from provctl.cli.load_workflow import load, pairs
    from provctl.core.model.schedule import Schedule
    from provctl.runs.submit import merge_labels
    from provctl.runs.task_environment import task_environment
    from provctl.scheduler.clock import WallClock
    from provctl.schedules import cron as times

    now = WallClock().now()
    zone = times.local_zone(now) if time_zone is None else time_zone
    times.check(cron, zone, now)
    workflow = load(session, file, params)
    passthrough = session.loaded.settings.executor.env_passthrough
    made = Schedule(
        name=_schedule_name(workflow.name if name is None else name),
        made=os.urandom(8).hex(),
        file=str(Path(file).absolute()),
        cron=cron,
        zone=zone,
        since=now,
        params=pairs(params),
        priority=priority,
        max_parallel=jobs,
        fail_fast=fail_fast,
        catch_up=catch_up,
        overlap=overlap,
        cwd=str(Path.cwd()),
        environment=task_environment(session.environ, passthrough),
        labels=dict(labels),
    )
    merge_labels(workflow, made.labels_of_runs)  # reports wrong labels now
    _schedules(session).add(made)
    first = next(times.times_after(cron, zone, now), now)
    print_message(f"next: {format_local(first)} (local time; time zone {zone})")
    if _notify_scheduler(session):
        _print_next_times(session)
    # Printed last: if printing fails, the schedule is already active.
    if session.output == "table":
        click.echo(f"Schedule added: {made.name}")
    else:
        emit(session, [_row(_entry(session, made.name))], ("name",), name="name")


def _entry(session: Session, name: str) -> ScheduleStatus:
    from provctl.scheduler.clock import WallClock
    from provctl.schedules.status import schedule_status

    return schedule_status(session.folder, _schedules(session), name, WallClock().now())


def _schedule_name(name: str) -> str:
    from provctl.errors import UsageError
    from provctl.storage.schedules import NAME

    if not re.fullmatch(NAME, name):
        message = f"{plain(name)} is not a valid schedule name"
        hint = (
            "--name: use up to 100 letters, digits, dots and dashes, not beginning"
            " with a dash"
        )
        raise UsageError(message, hint=hint)
    return name


def _notify_scheduler(session: Session) -> bool:
    """Make the scheduler reload the schedules; return whether one is running."""
    from provctl.errors import SchedulerUnreachable, StateDirError

    try:
        holder = session.owner_client.wake_scheduler("schedules")
    except (SchedulerUnreachable, StateDirError) as problem:
        print_message(f"the schedule is not active yet: {problem.message}")
        print_hint(session, problem.hint or "")
        return False
    warn_version(session, holder)
    return True


def _print_next_times(session: Session) -> None:
    from provctl.errors import SchedulerUnreachable

    try:
        service = session.owner_client.ask_scheduler("status").get("service")
    except SchedulerUnreachable:
        service = None  # it is just ending
    if service is None:
        words = (
            "note: the schedule is only active while a scheduler is running; to start"
            " one at boot:"
        )
        print_message(words)
        print_hint(session, "provctl scheduler install")


@schedule.command("list")
@label_filter_option
@click.pass_obj
def list_schedules(session: Session, conditions: Tuple[Condition, ...]) -> None:
    """List schedules, with their next time, and the last run and its outcome."""
    from provctl.core.model.labels import fit_all
    from provctl.scheduler.clock import WallClock
    from provctl.schedules.status import all_schedule_statuses

    entries = all_schedule_statuses(
        session.folder, _schedules(session), WallClock().now()
    )
    rows = [_row(each) for each in entries if fit_all(conditions, each.labels)]
    columns = ("name", "cron", "time_zone", "next", "last", "run", "outcome", "note")
    emit(session, rows, columns, name="name")
    if entries and session.owner_client.scheduler() is None:
        print_message("no scheduler is running: schedules are not active")
        print_hint(session, "provctl scheduler start")


@schedule.command()
@click.argument("name", type=_NAME)
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show a schedule, its next times, and the results of the last ones."""
    import json

    each = _entry(session, name)
    row, found = _row(each), each.schedule
    assert found is not None, "what is damaged is raised"
    if session.output != "table":
        if session.output == "json":
            click.echo(json.dumps(row, indent=2))
        else:
            emit(session, [row], (), name="name")
        return
    lines = {
        "schedule": name,
        "file": found.file or "none (added through the API)",
        "parameters": " ".join(f"{k}={v}" for k, v in row["params"].items()) or "-",
        "times": f"{found.cron} ({found.zone})",
        "catch-up, overlap": f"{found.catch_up}, {found.overlap}",
        "state": row["note"] or "waiting for its next time",
        "last run": f"{row['run']} {row['outcome']}, scheduled for {row['last']}",
        "labels": labels_line(found.labels) or "-",
        "not run": f"{row['missed']} missed, {row['skipped']} skipped",
        "next": ", ".join(format_local(at) for at in each.next_at) or "-",
    }
    if row["run"] is None:
        lines["last run"] = "-"
    for label, value in lines.items():
        click.echo(f"{label:18} {plain(str(value))}")


@schedule.command("rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=_NAME)
@yes_option
@click.pass_context
def remove(ctx: click.Context, names: Tuple[str, ...], yes: bool) -> None:
    """Remove schedules. Their runs are kept, and active ones continue.

    At a terminal you are asked to confirm; otherwise --yes is required.
    """
    session: Session = ctx.obj
    known = _schedules(session).names()
    for name in names:
        if name not in known:
            _schedules(session).read(name)  # raises NotFound
        print_message(name)
    if not confirm(f"remove {plural(len(names), 'schedule')}?", yes=yes):
        ctx.exit(DECLINED)
    for name in names:
        _schedules(session).remove(name)
        print_message(f"removed: {name}")
    if session.owner_client.scheduler() is not None:
        _notify_scheduler(session)


@schedule.command()
@click.argument("name", type=_NAME)
@click.option("--reason", default="", help="Reason, shown with the schedule.")
@click.pass_obj
def pause(session: Session, name: str, reason: str) -> None:
    """Pause a schedule: submit nothing until `resume`. Active runs continue."""
    from provctl.scheduler.clock import WallClock

    now = WallClock().now()
    _schedules(session).change(name, lambda it: paused(it, now, reason))
    go_on = session.called.with_flags(f"provctl schedule resume {name}")
    print_message(f"paused: {name}; to resume it: {go_on}")
    if session.owner_client.scheduler() is not None:
        _notify_scheduler(session)


@schedule.command()
@click.argument("name", type=_NAME)
@click.option(
    "--reason", default="", help="Reason, written to the log of the scheduler."
)
@click.pass_obj
def resume(session: Session, name: str, reason: str) -> None:
    """Resume a paused schedule. Times missed meanwhile are not caught up."""
    from provctl.scheduler.clock import WallClock

    now = WallClock().now()
    _schedules(session).change(name, lambda it: resumed(it, now))
    session.owner_client.log_note(
        f"schedule {name}: resumed" + (f": {reason}" if reason else "")
    )
    print_message(f"resumed: {name}")
    _notify_scheduler(session)


@schedule.command()
@click.argument("name", type=_NAME)
@label_option
@click.pass_obj
def run(session: Session, name: str, labels: Tuple[Tuple[str, str], ...]) -> None:
    """Submit the workflow of a schedule now, even if another run of it is active."""
    from provctl.cli.submission import print_submitted, submit_runs
    from provctl.schedules.fire import evaluated, submit_options

    found = _schedules(session).read(name)
    workflow = evaluated(session.loaded.settings, found)
    wishes = submit_options(found, None, dict(labels))
    (account,) = submit_runs(session, [workflow], wishes)
    print_submitted(session, account)


def _row(each: ScheduleStatus) -> Dict[str, Any]:
    """A schedule as a record; a damaged one has its error as note."""
    from provctl.schedules.status import status_record

    found, past = each.schedule, each.past
    if found is None or past is None:
        return {**status_record(each), "next": None, "last": None, "note": each.damage}
    return {
        **status_record(each),
        "next": format_local(each.next_at[0]) if each.next_at else None,
        "last": None if past.at is None else format_local(past.at),
        "note": _note(found, past),
    }


def _note(found: Schedule, past: ScheduleState) -> Optional[str]:
    notes = []
    if found.paused_at is not None:
        why = f": {found.reason}" if found.reason else ""
        notes.append(f"paused since {format_local(found.paused_at)}{why}")
    if past.trouble_at is not None:
        notes.append(f"failed at {format_local(past.trouble_at)}: {past.trouble}")
    if past.waiting:
        notes.append(f"{len(past.waiting)} waiting for the previous run")
    return "; ".join(notes) or None
