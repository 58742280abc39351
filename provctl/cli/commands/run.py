"""`provctl run`: a workflow file in the foreground."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Optional,
    Tuple,
)

import click

from provctl.cli.completion.param_types import FILE
from provctl.cli.options.global_options import report_options, view_option
from provctl.cli.options.run_filters import label_option
from provctl.cli.options.run_options import run_options
from provctl.cli.watching.notify import notify_option
from provctl.cli.watching.run_workflow import AfterRun, run_workflow

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("file", type=FILE)
@run_options
@label_option
@notify_option
@report_options
@view_option
@click.pass_context
def run(
    ctx: click.Context,
    file: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    labels: Tuple[Tuple[str, str], ...],
    notify: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Run a workflow FILE in the foreground and watch it.

    Ctrl-C cancels the run and gives its tasks time to stop; a second Ctrl-C kills them.
    The run continues in the background when the terminal closes, on SIGTERM, and on
    provctl detach RUN. If this command is killed, running tasks continue: use provctl
    attach RUN.
    """
    from provctl.cli.load_workflow import load
    from provctl.runs.submit import SubmitOptions
    from provctl.runs.wiring import make_executor

    session: Session = ctx.obj
    # It gets ready while the file is loaded.
    executor = make_executor(session.loaded.settings, session.folder)
    workflow = load(session, file, params)
    options = SubmitOptions(priority, None, jobs, fail_fast, labels=dict(labels))
    after = AfterRun(notify, junit, summary)
    ctx.exit(run_workflow(session, workflow, options, executor, after))
