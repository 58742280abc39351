"""Owns the verbs that move a run between terminal and background: `attach`, `detach`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

import click

from provctl.cli.context import tell_help, tell_line
from provctl.cli.notice import notified, tell_end
from provctl.cli.options import shows_runs
from provctl.cli.words import RUN

if TYPE_CHECKING:
    from provctl.cli.context import Session

__all__ = ["attach", "detach"]


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@notified
@shows_runs
@click.pass_context
def attach(ctx: click.Context, run: str, notify: Optional[str]) -> None:
    """Show a run of the background, as monitor does; its exit code is yours.

    A run that nobody owns, for whoever did died, is given to the scheduler first.
    Ctrl-C stops watching; the run goes on.
    """
    from provctl.app.select import find_run
    from provctl.cli.screen import open_screen
    from provctl.cli.start import give_to_scheduler
    from provctl.cli.watch import watch_runs
    from provctl.journal.summary import summarise

    session: Session = ctx.obj
    account = summarise(session.folder.run(find_run(session.folder, run)))
    if account.outcome is None and not account.owned:
        give_to_scheduler(session, [account.id])
    began = time.monotonic()
    with open_screen(session) as screen:
        code = watch_runs(session, (account.id,), None, screen)
    tell_end(session, [account.id], code, began, how=notify)
    ctx.exit(code)


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.pass_obj
def detach(session: Session, run: str) -> None:
    """Let a run of the foreground go on in the background.

    The command that showed it ends and says where the run is. Tasks never notice.
    """
    from provctl.app.select import find_run
    from provctl.errors import Refused
    from provctl.journal.lock import holder_of
    from provctl.journal.summary import summarise

    folder = session.folder.run(find_run(session.folder, run))
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has ended: {account.outcome}"
        raise Refused(message, hint=f"provctl workflow status {folder.id}")
    owner = holder_of(folder.lock)
    if owner is not None and owner.kind == "scheduler":
        said = f"run {folder.id} is in the background already"
    else:
        if owner is None:
            session.reach.give([folder.id])
        else:
            session.reach.detach(folder.id, owner)
        said = f"run {folder.id} goes on in the background"
    tell_line(said)
    tell_help(session, f"provctl workflow attach {folder.id}")
