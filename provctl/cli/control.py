"""Owns the verbs that change a run: `cancel`, `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Tuple

import click

from provctl.cli.options import RUN

if TYPE_CHECKING:
    from provctl.cli.context import Session

__all__ = ["cancel", "resume"]


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RUN)
@click.option("--now", is_flag=True, help="Kill at once, without grace.")
@click.option("--reason", default="", help="Why, for the journal.")
@click.pass_obj
def cancel(session: Session, runs: Tuple[str, ...], now: bool, reason: str) -> None:
    """Cancel runs, or the runs of a batch.

    Tasks that have not begun never will; running ones are told to end (TERM),
    and after the grace time they are killed. A batch's finished runs are passed
    over.
    """
    from provctl.app.select import find_runs
    from provctl.core.requests import Cancel
    from provctl.errors import Refused

    for name in runs:
        found = find_runs(session.folder, name)
        going = [run for run in found if run.outcome is None]
        if not going:
            ended = ", ".join(f"{run.id} {run.outcome}" for run in found)
            message = f"nothing to cancel: {ended}"
            raise Refused(message, hint="a finished run can no longer be changed")
        for run in going:
            session.reach.send(Cancel(run.id, reason, now=now))
            click.echo(f"cancel requested: {run.id}", err=True)


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option("--rerun", multiple=True, metavar="TASK", help="Try a held task again.")
@click.option("--accept", multiple=True, metavar="TASK", help="A held task succeeded.")
@click.option("--fail", multiple=True, metavar="TASK", help="A held task failed.")
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
    """Go on with a run whose owner died, here in the foreground.

    What still runs is adopted, what ended meanwhile is recorded, what never
    began is started. Tasks whose end nobody can know are held: decide over them
    with --rerun, --accept or --fail. To a run that has an owner the decisions
    are sent.
    """
    from provctl.app.runtime import make_executor
    from provctl.app.select import find_run
    from provctl.cli.start import own_run
    from provctl.core.requests import Resolve
    from provctl.errors import Refused
    from provctl.flock import is_locked
    from provctl.journal.summary import summarise

    session: Session = ctx.obj
    folder = session.folder.run(find_run(session.folder, run))
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has ended: {account.outcome}"
        raise Refused(message, hint="a finished run can no longer be changed")
    decisions: List[Resolve] = [
        Resolve(folder.id, task, how, reason)
        for how, tasks in (("rerun", rerun), ("accept", accept), ("fail", fail))
        for task in tasks
    ]
    if decisions and is_locked(folder.lock):
        for decision in decisions:
            session.reach.send(decision)
            click.echo(f"{decision.task}: {decision.how}", err=True)
        return
    ctx.exit(
        own_run(session, folder.id, make_executor(), jobs=jobs, requests=decisions)
    )
