"""`provctl pause`: starts no new tasks."""

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
@click.option("--freeze", is_flag=True, help="Also suspend running tasks (SIGSTOP).")
@click.pass_context
def pause(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    yes: bool,
    reason: str,
    freeze: bool,
) -> None:
    """Pause runs, or the runs of a batch: start no new tasks until `resume`.

    Running tasks continue until they finish. --freeze also suspends running tasks and
    their timeouts. The timeout of the run is suspended in both cases.
    """
    from provctl.core.engine.requests import Pause

    session: Session = ctx.obj
    going = unfinished_runs(
        ctx, runs, conditions, verb="pause", yes=yes, destroys=False
    )
    for run_id in going:
        session.owner_client.send(Pause(run_id, freeze, reason))
        go_on = session.called.with_flags(f"provctl resume {run_id}")
        print_message(f"paused: {run_id}; to resume it: {go_on}")
