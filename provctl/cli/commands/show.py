"""`provctl show`: a run as it was at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

import click

from provctl.cli.completion.param_types import RUN
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--at",
    metavar="TIME|SEQ",
    help="Show the run as it was at this time: 14:03:12 (today, local time), 2h (ago) or"
    " an ISO time; or after the journal record with this number.",
)
@click.pass_obj
def show(session: Session, run: str, at: Optional[str]) -> None:
    """Show a run as it is now, or as it was at a time or after a journal record."""
    from provctl.cli.run_details import show_runs, show_state
    from provctl.runs.history.time_travel import state_at_record, state_at_time

    folder = session.run_dir(run)
    if at is None:
        show_runs(session, [folder.id], many=False)
    elif at.isdecimal():
        show_state(session, state_at_record(folder, int(at)))
    else:
        show_state(session, state_at_time(folder, _moment(at)))


def _moment(text: str) -> float:
    """A time that people write, as seconds since the epoch."""
    from provctl.base.timefmt import format_local, parse_time

    now = time.time()  # noqa: TID251  # ages are from now
    try:
        at = parse_time(text, now, end=True)
    except ValueError:
        message = f"--at {text}: neither a time nor a record number"
        hint = (
            "use 14:03:12, 2h, 2026-05-04T12:00:00Z or a record number from journal"
            " tail"
        )
        raise UsageError(message, hint=hint) from None
    if int(at) > now:
        message = f"--at {text}: that is {format_local(at)}, which is in the future"
        hint = "a time without a date is today"
        raise UsageError(message, hint=hint)
    return at
