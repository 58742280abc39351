"""Owns the verbs that change a run under way: `cancel`, `pause`, `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, List, Tuple

import click

from provctl.cli.options import RUN, RUNS, TASK

if TYPE_CHECKING:
    from provctl.cli.context import Session

__all__ = ["cancel", "pause", "resume"]


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RUNS)
@click.option("--now", is_flag=True, help="Kill at once, without grace.")
@click.option("--reason", default="", help="Why, for the journal.")
@click.pass_obj
def cancel(session: Session, runs: Tuple[str, ...], now: bool, reason: str) -> None:
    """Cancel runs, or the runs of a batch.

    Tasks that have not begun never will; running ones are told to end (TERM),
    and after the grace time they are killed. A batch's finished runs are passed
    over.
    """
    from provctl.core.requests import Cancel

    for run_id in _going(session, runs, "cancel"):
        session.reach.send(Cancel(run_id, reason, now=now))
        click.echo(f"cancel requested: {run_id}", err=True)


def _going(session: Session, names: Tuple[str, ...], verb: str) -> Iterator[str]:
    """The runs, or those of batches, that have not ended. Raises Refused for none."""
    from provctl.app.select import find_runs
    from provctl.errors import Refused

    for name in names:
        found = find_runs(session.folder, name)
        going = [run.id for run in found if run.outcome is None]
        if not going:
            ended = ", ".join(f"{run.id} {run.outcome}" for run in found)
            message = f"nothing to {verb}: {ended}"
            hint = "a finished run can only be retried or rolled back"
            raise Refused(message, hint=hint)
        yield from going


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RUNS)
@click.option("--freeze", is_flag=True, help="Stop running tasks too (SIGSTOP).")
@click.option("--reason", default="", help="Why, for the journal.")
@click.pass_obj
def pause(session: Session, runs: Tuple[str, ...], freeze: bool, reason: str) -> None:
    """Start no further task of runs, or of the runs of a batch, until `resume`.

    What runs ends by itself; with --freeze it stands still, and so do its time
    limits. The time limit of a run stands still in either case.
    """
    from provctl.core.requests import Pause

    for run_id in _going(session, runs, "pause"):
        session.reach.send(Pause(run_id, freeze, reason))
        go_on = f"let it go on: provctl workflow resume {run_id}"
        click.echo(f"paused: {run_id}; {go_on}", err=True)


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
