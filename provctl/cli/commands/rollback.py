"""`provctl rollback`: undoes the tasks of a run."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Optional,
    Tuple,
)

import click

from provctl.cli.completion.param_types import RUNS, TASK
from provctl.cli.options.run_filters import label_filter_option
from provctl.cli.reopening import (
    Rows,
    outcome_words,
    plan_row,
    reopen_runs,
    reopening_options,
    runs_to_reopen,
)

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.labels import Condition


@click.command()
@click.argument("run", metavar="RUN", required=False, type=RUNS)
@label_filter_option
@click.option(
    "--to",
    default="",
    metavar="TASK",
    type=TASK,
    help="Undo only the tasks that depend on TASK.",
)
@reopening_options
@click.pass_context
def rollback(
    ctx: click.Context,
    /,
    run: Optional[str],
    conditions: Tuple[Condition, ...],
    to: str,
    reason: str,
    **how: bool,
) -> None:
    """Undo the tasks of a finished run in reverse order.

    Each task that has an `undo` is undone after all tasks that depend on it. If an undo
    fails, the tasks it depends on are not undone. With a batch or with labels, every
    finished run is rolled back.

    The plan is shown first. At a terminal you are asked to confirm; otherwise --yes is
    required.
    """
    from provctl.core.engine.requests import Rollback

    def wish(run_id: str) -> Request:
        return Rollback(run_id, to, reason)

    found = runs_to_reopen(
        ctx.obj, run, lambda each: each.outcome is not None, conditions
    )

    def rows(state: RunState) -> Rows:
        return _rollback_rows(state, to)

    code = reopen_runs(ctx.obj, found, wish, rows, verb="rollback", **how)
    ctx.exit(0 if code == _ROLLED_BACK else code)


_ROLLED_BACK = 14  # the exit code of such a run: here it is what was asked for


def _rollback_rows(run: RunState, to: str) -> Rows:
    from provctl.core.engine.reopen import to_undo
    from provctl.core.model.graph import stages

    chosen = to_undo(run, to)
    order = reversed(stages(run.workflow.tasks))
    rows = [
        plan_row(
            run.tasks[task.id],
            stage,
            f"will be undone: it {outcome_words(run.tasks[task.id])}",
            destroys=True,
        )
        for stage, tasks in enumerate(order, 1)
        for task in tasks
        if task.id in chosen
    ]
    began = [t for t in run.tasks.values() if t.started_at is not None and t.attempt]
    left = [t for t in began if t.task.id not in chosen and t.outcome != "undone"]
    return rows + [plan_row(task, None, _why_it_stands(task, to)) for task in left]


def _why_it_stands(task: TaskState, to: str) -> str:
    if task.task.finalizer and task.task.parent is None:
        return "runs once more after the rollback"
    if task.task.undo is None:
        return f"not undone: it {outcome_words(task)} and has no undo"
    if to and task.outcome == "succeeded":
        return f"not undone: it does not depend on {to}"
    return f"not undone: it {outcome_words(task)}, and its undo only runs after success"
