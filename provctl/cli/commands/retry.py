"""`provctl retry`: failed and unfinished tasks run again."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Container,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import click

from provctl.cli.completion.param_types import RUNS, TASK
from provctl.cli.options.run_filters import label_filter_option
from provctl.cli.reopening import (
    UNCHANGED,
    Rows,
    outcome_words,
    plan_row,
    reopen_runs,
    reopening_options,
    runs_to_reopen,
)
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.labels import Condition


@click.command()
@click.argument("run", metavar="RUN", required=False, type=RUNS)
@label_filter_option
@click.option(
    "--failed", is_flag=True, help="Retry failed and unfinished tasks (the default)."
)
@click.option(
    "--from",
    "from_",
    multiple=True,
    metavar="TASK",
    type=TASK,
    help="Retry TASK and everything that depends on it.",
)
@click.option(
    "--only", multiple=True, metavar="TASK", type=TASK, help="Retry only TASK."
)
@click.option(
    "--downstream",
    is_flag=True,
    help="Also retry everything that depends on these tasks.",
)
@reopening_options
@click.pass_context
def retry(
    ctx: click.Context,
    /,
    run: Optional[str],
    conditions: Tuple[Condition, ...],
    failed: bool,
    from_: Tuple[str, ...],
    only: Tuple[str, ...],
    downstream: bool,
    reason: str,
    **how: bool,
) -> None:
    """Retry failed and unfinished tasks of a run, in the background.

    Without options, this runs every task again that did not succeed, and every task
    that depends on the outcome of such a task or on a task that was undone. Other tasks
    that succeeded are not run again; their outputs are reused. Tasks that are waiting
    for their next attempt start now. The name of a nested workflow selects all of its
    tasks. With a batch or with labels, every run that did not succeed is retried.

    The workflow is used as submitted. If the file has changed, submit it again.

    The plan is shown first. At a terminal you are asked to confirm; otherwise --yes is
    required if tasks are undone, or run again although they succeeded.
    """
    from provctl.core.engine.requests import RetryRun

    if sum(map(bool, (failed, from_, only))) > 1:
        message = "use only one of --failed, --from and --only"
        raise UsageError(message)
    names, after = from_ or only, downstream or bool(from_)

    def wish(run_id: str) -> Request:
        return RetryRun(run_id, names, after, reason)

    def rows(state: RunState) -> Rows:
        return _retry_rows(state, names, downstream=after)

    found = runs_to_reopen(
        ctx.obj, run, lambda each: each.outcome != "succeeded", conditions
    )
    ctx.exit(reopen_runs(ctx.obj, found, wish, rows, verb="retry", **how))


def _retry_rows(run: RunState, names: Sequence[str], *, downstream: bool) -> Rows:
    from provctl.core.engine.reopen import stale_by, targets, to_retry
    from provctl.core.model.graph import stages

    chosen = to_retry(run, names, downstream_too=downstream)
    first = stale_by(run, targets(run, names, downstream_too=downstream))
    rows = []
    for stage, tasks in enumerate(stages(run.workflow.tasks), 1):
        for task in (run.tasks[task.id] for task in tasks if task.id in chosen):
            what = _again(run, task, chosen, first)
            runs_again = task.outcome == "succeeded" and what.startswith(_AGAIN)
            rows.append(plan_row(task, stage, what, destroys=runs_again))
    others = [task for task_id, task in run.tasks.items() if task_id not in chosen]
    return rows + [plan_row(task, None, _kept(run, task, chosen)) for task in others]


_AGAIN = "runs again"


_ANEW = "is re-evaluated"  # it runs again only if a task fails again, or ends


def _kept(run: RunState, task: TaskState, chosen: Container[str]) -> str:
    """Describe a task that is not retried, with a note if its dependency is."""
    before = (need.task for need in task.task.needs if need.task in chosen)
    for name in before if task.outcome == "succeeded" else ():
        if run.tasks[name].outcome == "succeeded":
            return f"{UNCHANGED}: it depends on {name}, but does not use its output"
    return UNCHANGED


def _again(
    run: RunState, task: TaskState, chosen: Container[str], first: Mapping[str, str]
) -> str:
    from provctl.core.engine.outcomes import unmet_reason
    from provctl.core.engine.reopen import ran_on_failure
    from provctl.core.model.workflow import SubWorkflow

    if task.status == "retrying":
        return "starts now instead of waiting for its next attempt"
    if task.task.finalizer:
        return "runs once all others have ended"
    for need in task.task.needs:
        needed = run.tasks[need.task]
        if need.task not in chosen and needed.status == "finished":
            why = unmet_reason(needed, need.on)
            if why:
                return f"will be skipped: it {why}"
    if isinstance(task.task.action, SubWorkflow):
        return f"reopened: it {outcome_words(task)}"
    if task.started_at is None:
        return f"runs if its dependencies are met: it {outcome_words(task)}"
    if task.task.id not in first:
        return f"{_AGAIN}: it {outcome_words(task)}"
    before = run.tasks[first[task.task.id]]
    why = f"{before.task.id}, which {outcome_words(before)}"
    if ran_on_failure(run, task.task.id):
        return f"{_ANEW}: it ran after {why}"
    return f"{_AGAIN}: it {outcome_words(task)}, but depends on {why}"
