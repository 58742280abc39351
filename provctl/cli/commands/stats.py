"""`stats`: success rates and durations of workflows and tasks in earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

import click

from provctl.cli.completion.param_types import WORKFLOW
from provctl.cli.options.run_filters import RunFilter, run_filter_options
from provctl.cli.session import Session, emit

if TYPE_CHECKING:
    from provctl.core.analysis.statistics import DurationStats


@click.command()
@click.argument("workflow", required=False, type=WORKFLOW)
@click.option(
    "-n",
    "--last",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="Number of finished runs of each workflow to use.",
)
@run_filter_options
@click.pass_obj
def stats(
    session: Session, choice: RunFilter, workflow: Optional[str], last: int
) -> None:
    """Show success rates and durations of workflows.

    Without WORKFLOW, this lists all workflows, otherwise the tasks of that workflow.
    P50 is the median; nine of ten runs take less than P90. A task is flaky if it
    succeeded only after a retry. It has regressed if its latest run took longer than
    nine of ten earlier runs and more than 1.5 times their median.
    """
    from provctl.base.suggest import did_you_mean
    from provctl.core.analysis.statistics import duration_stats
    from provctl.errors import NotFound
    from provctl.runs.history.past_runs import past_runs

    every = choice.of(session.accounts())
    names = sorted({run.name for run in every if run.outcome is not None})
    if workflow is not None and workflow not in names:
        message = f"no finished run of workflow {workflow} found"
        hint = did_you_mean(workflow, names, "see: provctl stats")
        raise NotFound(message, hint=hint)
    rows: List[Dict[str, Any]] = []
    for name in names if workflow is None else [workflow]:
        known = duration_stats(past_runs(session.folder, name, known=every, most=last))
        if workflow is None:
            rows.append(_row("workflow", name, known[""]))
        else:
            rows += [_row("task", task, pace) for task, pace in known.items() if task]
    kind = "workflow" if workflow is None else "task"
    columns = (kind, "runs", "succeeded", "p50", "p90", "latest", "notes")
    emit(session, rows, columns, name=kind)


def _row(kind: str, name: str, pace: DurationStats) -> Dict[str, Any]:
    from provctl.render.text import duration

    notes = []
    if pace.flaky:
        notes.append(f"flaky in {pace.flaky}")
    if pace.regressed:
        notes.append("slower than before")
    times = {"p50": pace.p50_s, "p90": pace.p90_s, "latest": pace.last_s}
    rate = pace.succeeded / pace.runs if pace.runs else None
    return {
        kind: name,
        "runs": pace.runs,
        "succeeded": None if rate is None else f"{100 * rate:.0f}%",
        **{key: None if s is None else duration(s) for key, s in times.items()},
        "success_rate": rate,
        "p50_s": pace.p50_s,
        "p90_s": pace.p90_s,
        "last_s": pace.last_s,
        "flaky": pace.flaky,
        "regressed": pace.regressed,
        "notes": ", ".join(notes) or None,
    }
