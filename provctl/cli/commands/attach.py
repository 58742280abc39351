"""`provctl attach`: watches a run in the background."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

import click

from provctl.cli.completion.param_types import RUN
from provctl.cli.options.global_options import view_option
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
    from provctl.cli.submission import enqueue_runs
    from provctl.cli.watching.open_view import open_screen
    from provctl.cli.watching.watch_runs import watch_runs
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
