"""Owns the verbs that change a run under way: `cancel`, `pause`, `resume`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable, List, Sequence, Tuple

import click

from provctl.cli.choice import by_label, chosen_runs
from provctl.cli.options import shows_runs
from provctl.cli.words import RUN, RUNS, TASK

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.core.labels import Condition
    from provctl.journal.summary import RunSummary

__all__ = ["cancel", "pause", "resume"]


def _several(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the runs that it is for, by name or by label, and how to ask."""
    for option in (
        click.option("--reason", default="", help="Why, for the journal."),
        click.option(
            "-y", "--yes", is_flag=True, help="Do not ask first, as is done with -l."
        ),
        by_label,
        click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS),
    ):
        verb = option(verb)
    return verb


@click.command()
@_several
@click.option("--now", is_flag=True, help="Kill at once, without grace.")
@click.pass_context
def cancel(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    yes: bool,
    reason: str,
    now: bool,
) -> None:
    """Cancel runs, or the runs of a batch.

    Tasks that have not begun never will; running ones are told to end (TERM),
    and after the grace time they are killed. A batch's finished runs are passed
    over, as are those with a label.
    """
    from provctl.core.requests import Cancel

    session: Session = ctx.obj
    for run_id in _going(ctx, runs, conditions, verb="cancel", yes=yes):
        session.reach.send(Cancel(run_id, reason, now=now))
        click.echo(f"cancel requested: {run_id}", err=True)


def _going(
    ctx: click.Context,
    names: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    *,
    verb: str,
    yes: bool,
) -> List[str]:
    """The runs that are meant and have not ended. Raises Refused for none.

    Of every name there has to be one; runs that only have a label are shown, and
    whoever is at a terminal is asked.
    """
    from provctl.cli.context import confirm

    session: Session = ctx.obj
    if names and not conditions:
        every = (chosen_runs(session, [name], ()) for name in names)
        return [run.id for found in every for run in _unfinished(found, verb)]
    going = _unfinished(chosen_runs(session, names, conditions), verb)
    for run in going:
        click.echo(f"{run.id}  {run.name}  {run.status}", err=True)
    if not yes and sys.stdin.isatty() and not confirm(f"{verb} {len(going)} runs?"):
        click.echo("nothing was done", err=True)
        ctx.exit(_DECLINED)
    return [run.id for run in going]


_DECLINED = 130  # as of Ctrl-C instead of an answer
_SHOWN = 5


def _unfinished(found: Sequence[RunSummary], verb: str) -> List[RunSummary]:
    from provctl.errors import Refused

    going = [run for run in found if run.outcome is None]
    if not going:
        ended = ", ".join(f"{run.id} {run.outcome}" for run in found[:_SHOWN])
        message = f"nothing to {verb}: {ended}{', ...' if found[_SHOWN:] else ''}"
        hint = "a finished run can only be retried or rolled back"
        raise Refused(message, hint=hint)
    return going


@click.command()
@_several
@click.option("--freeze", is_flag=True, help="Stop running tasks too (SIGSTOP).")
@click.pass_context
def pause(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    yes: bool,
    reason: str,
    freeze: bool,
) -> None:
    """Start no further task of runs, or of the runs of a batch, until `resume`.

    What runs ends by itself; with --freeze it stands still, and so do its time
    limits. The time limit of a run stands still in either case.
    """
    from provctl.core.requests import Pause

    session: Session = ctx.obj
    for run_id in _going(ctx, runs, conditions, verb="pause", yes=yes):
        session.reach.send(Pause(run_id, freeze, reason))
        go_on = session.called.retold(f"provctl workflow resume {run_id}")
        click.echo(f"paused: {run_id}; let it go on: {go_on}", err=True)


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--rerun", multiple=True, metavar="TASK", type=TASK, help="Try a held task again."
)
@click.option(
    "--accept", multiple=True, metavar="TASK", type=TASK, help="A held task succeeded."
)
@click.option(
    "--fail", multiple=True, metavar="TASK", type=TASK, help="A held task failed."
)
@click.option("--reason", default="", help="Why, for the journal.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Tasks at the same time.")
@shows_runs
@click.pass_context
def resume(
    ctx: click.Context,
    run: str,
    rerun: Tuple[str, ...],
    accept: Tuple[str, ...],
    fail: Tuple[str, ...],
    reason: str,
    jobs: int,
) -> None:
    """Go on with a run that is paused, or whose owner died.

    A paused run goes on where it is. One without an owner does here, in the
    foreground: what still runs is adopted, what ended meanwhile is recorded, what never
    began is started. Tasks whose end nobody can know are held: decide over them
    with --rerun, --accept or --fail. To a run that has an owner the decisions
    are sent.
    """
    from provctl.app.runtime import make_executor
    from provctl.app.select import find_run
    from provctl.cli.start import own_run
    from provctl.core.requests import Request, Resolve, Resume
    from provctl.errors import Refused
    from provctl.flock import is_locked
    from provctl.journal.summary import summarise
    from provctl.scheduler.takeover import owned_by_other

    session: Session = ctx.obj
    folder = session.folder.run(find_run(session.folder, run))
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has ended: {account.outcome}"
        raise Refused(message, hint=f"try again: provctl workflow retry {folder.id}")
    wishes: List[Request] = [
        Resolve(folder.id, task, how, reason)
        for how, tasks in (("rerun", rerun), ("accept", accept), ("fail", fail))
        for task in tasks
    ]
    if account.status == "paused":
        wishes.append(Resume(folder.id, reason))
    if is_locked(folder.lock):
        if not wishes:
            raise owned_by_other(folder)
        for wish in wishes:
            session.reach.send(wish)
            click.echo(_told(wish), err=True)
        return
    ctx.exit(own_run(session, folder.id, make_executor(), jobs=jobs, requests=wishes))


def _told(wish: Any) -> str:
    return (
        f"{wish.task}: {wish.how}" if hasattr(wish, "task") else f"goes on: {wish.run}"
    )
