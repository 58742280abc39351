"""`provctl submit`: a workflow file for the background scheduler."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Optional,
    Tuple,
)

import click

from provctl.cli.completion.param_types import FILE
from provctl.cli.options.run_filters import label_option
from provctl.cli.options.run_options import key_option, run_options
from provctl.cli.submission import print_submitted, submit_runs
from provctl.cli.watching.watch_runs import watch_runs
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.cli.session import (
        Session,
    )


@click.command(context_settings={"allow_extra_args": True})
@click.argument("file", type=FILE)
@run_options
@key_option
@label_option
@click.option(
    "-w", "--wait", "waits", is_flag=True, help="Wait until the run finishes."
)
@click.pass_context
def submit(
    ctx: click.Context,
    file: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    key: Optional[str],
    labels: Tuple[Tuple[str, str], ...],
    waits: bool,
) -> None:
    """Submit a workflow FILE to the background scheduler and print the run's id.

    The id is printed once the run is safely on disk. The scheduler is started if it is
    not running. If the key was used before, the existing run is returned; the workflow
    must be identical.
    """
    from provctl.cli.load_workflow import load
    from provctl.runs.submit import SubmitOptions

    session: Session = ctx.obj
    if ctx.args:
        message = f"submit takes one FILE, but another is given: {ctx.args[0]}"
        raise UsageError(
            message, hint="to submit several files: provctl batch submit FILE..."
        )
    workflow = load(session, file, params)
    wishes = SubmitOptions(priority, None, jobs, fail_fast, key, dict(labels))
    (account,) = submit_runs(session, [workflow], wishes)
    print_submitted(session, account)
    if waits:
        ctx.exit(watch_runs(session, (account.id,), None, None))
