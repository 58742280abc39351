"""`provctl status`: a run and its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provctl.cli.completion.param_types import RUN
from provctl.cli.run_details import show_runs

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.pass_obj
def status(session: Session, run: str) -> None:
    """Show a run and its tasks."""
    from provctl.runs.find import find_run

    show_runs(session, [find_run(session.folder, run)], many=False)
