"""`provctl run`: a workflow file in the foreground."""

from __future__ import annotations

import time
from typing import (
    Optional,
    Tuple,
)

import click

from provctl.cli.completion.param_types import FILE
from provctl.cli.options.global_options import report_options, view_option
from provctl.cli.options.run_filters import label_option
from provctl.cli.options.run_options import run_options
from provctl.cli.session import (
    Session,
    print_hint,
)
from provctl.cli.watching.notify import notify_end, notify_option
from provctl.cli.watching.run_foreground import run_foreground
from provctl.errors import ProvctlError


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
    from provctl.runs.foreground import block_signals
    from provctl.runs.submit import SubmitOptions, submit
    from provctl.runs.wiring import make_executor

    session: Session = ctx.obj
    # It gets ready while the file is loaded.
    executor = make_executor(session.loaded.settings, session.folder)
    workflow = load(session, file, params)
    # The limit is stored with the run, so that a later owner keeps it.
    wishes = SubmitOptions(priority, None, jobs, fail_fast, labels=dict(labels))
    block_signals()
    run_id = submit(session.folder, workflow, wishes)
    began = time.monotonic()
    try:
        code = run_foreground(session, run_id, executor, jobs=jobs)
    except ProvctlError:
        print_hint(session, f"resume the run: provctl resume {run_id}")
        raise
    notify_end(session, [run_id], code, began, how=notify)
    if junit or summary:
        from provctl.cli.write_reports import write_reports

        write_reports(session, [run_id], junit=junit, summary=summary)
    ctx.exit(code)
