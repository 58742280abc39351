"""`provctl cancel`: stops runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple

import click

from provctl.cli.session import print_message
from provctl.cli.unfinished_runs import request_options, unfinished_runs

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.labels import Condition


@click.command()
@request_options
@click.option(
    "--now", is_flag=True, help="Kill tasks immediately, without a grace period."
)
@click.pass_context
def cancel(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    yes: bool,
    reason: str,
    now: bool,
) -> None:
    """Cancel runs, or the runs of a batch.

    Tasks that have not started never start. Running tasks are asked to stop (SIGTERM),
    and killed after the grace period. Then finalizers run; a second cancel skips or
    stops them. Finished runs of a batch are skipped, and so are
    those selected by label. Runs selected by label are listed first; at a terminal you
    are asked to confirm, otherwise --yes is required.
    """
    from provctl.core.engine.requests import Cancel

    session: Session = ctx.obj
    going = unfinished_runs(
        ctx, runs, conditions, verb="cancel", yes=yes, destroys=True
    )
    for run_id in going:
        session.owner_client.send(Cancel(run_id, reason, now=now))
        print_message(f"cancel requested: {run_id}")
