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
    """Watch a run in the background, as monitor does; exit with its exit code.

    If the owning process died, the run is first handed to the scheduler. Ctrl-C stops
    watching; the run continues.
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
    """Move a run in the foreground to the background.

    The command that shows the run exits, and prints how to attach to the run. Running
    tasks are not affected.
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
