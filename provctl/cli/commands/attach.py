"""The verbs that move a run between terminal and background: `attach`, `detach`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

import click

from provctl.cli.completion.param_types import RUN
from provctl.cli.options.global_options import view_option
from provctl.cli.session import print_hint, print_message
from provctl.cli.watching.notify import notify_end, notify_option

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@notify_option
@view_option
@click.pass_context
def attach(ctx: click.Context, run: str, notify: Optional[str]) -> None:
    """Show a run of the background, as monitor does; its exit code is yours.

    A run that nobody owns, for whoever did died, is given to the scheduler first.
    Ctrl-C stops watching; the run goes on.
    """
    from provctl.cli.commands.monitor import watch_runs
    from provctl.cli.commands.submit import enqueue_runs
    from provctl.cli.watching.open_view import open_screen
    from provctl.runs.find import find_run
    from provctl.storage.run_summary import summarise

    session: Session = ctx.obj
    account = summarise(session.folder.run(find_run(session.folder, run)))
    if account.outcome is None and not account.owned:
        enqueue_runs(session, [account.id])
    began = time.monotonic()
    with open_screen(session) as screen:
        code = watch_runs(session, (account.id,), None, screen)
    notify_end(session, [account.id], code, began, how=notify)
    ctx.exit(code)


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.pass_obj
def detach(session: Session, run: str) -> None:
    """Let a run of the foreground go on in the background.

    The command that showed it ends and says where the run is. Tasks never notice.
    """
    from provctl.errors import RequestRejected
    from provctl.runs.find import find_run
    from provctl.storage.lock import lock_owner
    from provctl.storage.run_summary import summarise

    folder = session.folder.run(find_run(session.folder, run))
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has ended: {account.outcome}"
        raise RequestRejected(message, hint=f"provctl workflow status {folder.id}")
    owner = lock_owner(folder.lock)
    if owner is not None and owner.kind == "scheduler":
        said = f"run {folder.id} is in the background already"
    else:
        if owner is None:
            session.owner_client.enqueue([folder.id])
        else:
            session.owner_client.detach(folder.id, owner)
        said = f"run {folder.id} goes on in the background"
    print_message(said)
    print_hint(session, f"provctl workflow attach {folder.id}")
