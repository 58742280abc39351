"""`provctl list`: the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

import click

from provctl.base.timefmt import format_local
from provctl.cli.completion.param_types import STATUS
from provctl.cli.options.run_filters import RunFilter, run_filter_options
from provctl.cli.run_list import labels_line, wanted_words
from provctl.cli.session import Session, emit

if TYPE_CHECKING:
    from provctl.storage.run_summary import RunSummary


@click.command("list")
@click.option(
    "--status",
    "wanted",
    metavar="WORD[,WORD]...",
    type=STATUS,
    help="Only runs with one of these statuses or outcomes.",
)
@run_filter_options
@click.option(
    "-n", "--last", metavar="N", type=click.IntRange(1), help="Only the last N runs."
)
@click.pass_obj
def list_runs(
    session: Session, choice: RunFilter, wanted: Optional[str], last: Optional[int]
) -> None:
    """List runs, latest last."""

    words = None if wanted is None else wanted_words(wanted)
    if last and words is None and choice == RunFilter():
        shown = session.latest_runs(last)
    else:
        runs = choice.of(session.accounts())
        if words is not None:
            runs = [run for run in runs if words & {run.status, run.outcome}]
        shown = runs[-last:] if last else runs
    if session.output == "table":
        rows = [_cells(run) for run in shown]
    else:
        from provctl.api.records import summary_record

        rows = [summary_record(run) for run in shown]
    columns: Tuple[str, ...] = ("id", "name", "status", "outcome", "tasks", "created")
    if any(run.labels for run in shown):
        columns = (*columns, "labels")
    emit(session, rows, columns, name="id")


def _cells(run: RunSummary) -> Dict[str, Any]:
    """What people are shown of a run in a list."""
    status = run.status
    # Of a submitted run that waits for its turn this is no news.
    if not run.owned and status in ("running", "cancelling"):
        status += ", orphaned"
    return {
        "id": run.id,
        "name": run.name,
        "status": status,
        "outcome": run.outcome,
        "tasks": run.tasks,
        "created": format_local(run.created_at),
        "labels": labels_line(run.labels) if run.labels else None,
    }
