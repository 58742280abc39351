"""`provctl monitor`: watches runs until they finish."""

from __future__ import annotations

import time
from typing import (
    TYPE_CHECKING,
    Optional,
    Tuple,
)

import click

from provctl.cli.completion.param_types import RUNS
from provctl.cli.options.global_options import report_options, view_option
from provctl.cli.options.run_filters import chosen_runs, label_filter_option
from provctl.cli.options.timeout import timeout_option
from provctl.cli.watching.notify import notify_end, notify_option
from provctl.cli.watching.watch_runs import report_if_asked, watch_runs

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.labels import Condition


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS)
@label_filter_option
@timeout_option
@report_options
@notify_option
@view_option
@click.pass_context
def monitor(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    timeout: Optional[float],
    notify: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Watch runs, or a batch, until they finish; exit with their exit code.

    Ctrl-C stops watching; the runs continue.
    """
    from provctl.cli.watching.open_view import open_screen

    session: Session = ctx.obj
    ids = tuple(run.id for run in chosen_runs(session, runs, conditions))
    began = time.monotonic()
    with open_screen(session) as screen:
        code = watch_runs(session, ids, timeout, screen)
    notify_end(session, ids, code, began, how=notify)
    report_if_asked(session, ids, code, junit=junit, summary=summary)
    ctx.exit(code)
