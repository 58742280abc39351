"""The verbs that open a run again: `retry` and `rollback`, each with its plan."""

from __future__ import annotations

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Container,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import click

from provctl.cli.completion.param_types import RUNS, TASK
from provctl.cli.options.confirm import DECLINED, confirm, yes_option
from provctl.cli.options.global_options import view_option
from provctl.cli.options.run_filters import chosen_runs, label_filter_option
from provctl.cli.session import print_message
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.engine.requests import Request
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.labels import Condition
    from provctl.storage.run_summary import RunSummary


Rows = List[Dict[str, Any]]


def reopening_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb what both have."""
    for option in (
        view_option,
        click.option("--reason", default="", help="Reason, recorded in the journal."),
        click.option(
            "-w", "--wait", "waits", is_flag=True, help="Wait until the run finishes."
        ),
        yes_option,
        click.option("--plan", is_flag=True, help="Show the plan and change nothing."),
    ):
        verb = option(verb)
    return verb


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
        message = "--failed, --from and --only exclude each other"
        raise UsageError(message)
    names, after = from_ or only, downstream or bool(from_)

    def wish(run_id: str) -> Request:
        return RetryRun(run_id, names, after, reason)

    def rows(state: RunState) -> Rows:
        return _retry_rows(state, names, downstream=after)

    found = reopenable_runs(ctx.obj, run, lambda each: each.outcome != "succeeded", conditions)
    ctx.exit(reopen_runs(ctx.obj, found, wish, rows, verb="retry", **how))


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

    found = reopenable_runs(ctx.obj, run, lambda each: each.outcome is not None, conditions)

    def rows(state: RunState) -> Rows:
        return _rollback_rows(state, to)

    code = reopen_runs(ctx.obj, found, wish, rows, verb="rollback", **how)
    ctx.exit(0 if code == _ROLLED_BACK else code)


_ROLLED_BACK = 14  # the exit code of such a run: here it is what was asked for


def reopenable_runs(
    session: Session,
    name: Optional[str],
    fits: Callable[[RunSummary], bool],
    conditions: Tuple[Condition, ...],
) -> List[str]:
    """The run, or those of a batch or with labels that it can be meant for."""
    runs = chosen_runs(session, [] if name is None else [name], conditions)
    return [run.id for run in runs if len(runs) == 1 or fits(run)]


def reopen_runs(
    session: Session,
    run_ids: Sequence[str],
    wish: Callable[[str], Request],
    rows: Callable[[RunState], Rows],
    *,
    verb: str,
    plan: bool,
    yes: bool,
    waits: bool,
) -> int:
    """Show the plan of each run, ask, do it; return the exit code."""
    from provctl.cli.commands.monitor import interrupted_hint, watch_if_asked
    from provctl.cli.session import emit
    from provctl.errors import NotFound, RequestRejected
    from provctl.runs.follow import Follower

    plans: Dict[str, Rows] = {}
    changed: Dict[str, None] = {}
    for run_id in run_ids:
        follower = Follower(session.folder.run(run_id))
        follower.read()
        try:
            _refuse_nothing(wish(run_id), follower.run)
        except (NotFound, RequestRejected):
            if len(run_ids) == 1:
                raise
            continue  # of a batch those are meant for which it can be done
        plans[run_id] = rows(follower.run)
        changed.update(_changed_file(follower.run))
    if not plans:
        message = f"none of these runs has anything to {verb}"
        raise RequestRejected(
            message, hint="see: provctl workflow list, or batch status"
        )
    for file in changed:
        interrupted_hint(
            f"{file} was changed since; {verb} goes by what was submitted then"
        )
    if plan:
        told = [{"run": run, **row} for run, rows_ in plans.items() for row in rows_]
        emit(session, told, ("run", "stage", "id", "was", "what"), name="id")
        return 0
    for run_id, rows_ in plans.items():
        _show(verb, run_id, rows_)
    destroys = any(row["destroys"] for rows_ in plans.values() for row in rows_)
    if not confirm("go on?", yes=yes, destroys=destroys):
        return DECLINED
    for run_id in plans:
        session.owner_client.send(wish(run_id))
        print_message(f"{verb} requested: {run_id}")
    return watch_if_asked(session, tuple(plans)) if waits else 0


def _changed_file(run: RunState) -> Dict[str, None]:
    """The file that a run came from, if it was written to after that."""
    source = run.workflow.source
    try:
        changed = os.stat(source).st_mtime > run.submitted.at  # noqa: PTH116  may be ""
    except OSError:  # it is gone, or came by the API
        return {}
    return {source: None} if changed else {}


def _refuse_nothing(request: Request, run: RunState) -> None:
    """Raise now what the owner would refuse: a wish is never a silent nothing."""
    from provctl.core.engine.requests import admit
    from provctl.core.engine.state import State

    state = State(slots=0, capacity={})
    state.runs[request.run] = run
    admit(state, request, run.last_at)


def _show(verb: str, run_id: str, rows: Rows) -> None:

    print_message(f"{verb} of run {run_id}:")
    told = [row for row in rows if row["what"] != UNCHANGED]
    kept = len(rows) - len(told)
    width = max((len(row["id"]) for row in told), default=0)
    for row in told:
        print_message(f"  {row['id']:<{width}}  {row['what']}")
    if kept:
        print_message(f"  and {kept} stay as they are")


def outcome_words(task: TaskState) -> str:
    from provctl.core.model.status import outcome_phrase

    return outcome_phrase(task.outcome) if task.outcome else f"is {task.status}"


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


UNCHANGED = "stays as it is"
_AGAIN = "runs again"
_ANEW = "is decided anew"  # it runs again only if a task fails again, or ends


def _kept(run: RunState, task: TaskState, chosen: Container[str]) -> str:
    """What is said of a task that does not run again: where it could have to."""
    before = (need.task for need in task.task.needs if need.task in chosen)
    for name in before if task.outcome == "succeeded" else ():
        if run.tasks[name].outcome == "succeeded":
            return f"{UNCHANGED}: it came after {name}, and used no output of it"
    return UNCHANGED


def _again(
    run: RunState, task: TaskState, chosen: Container[str], first: Mapping[str, str]
) -> str:
    from provctl.core.engine.propagate import unmet_reason
    from provctl.core.engine.reopen import ran_on_failure
    from provctl.core.model.workflow import SubWorkflow

    if task.status == "retrying":
        return "starts now, without the wait for its next attempt"
    for need in task.task.needs:
        needed = run.tasks[need.task]
        if need.task not in chosen and needed.status == "finished":
            why = unmet_reason(needed, need.on)
            if why:
                return f"will be skipped: it {why}"
    if isinstance(task.task.action, SubWorkflow):
        return f"opens again: it {outcome_words(task)}"
    if task.started_at is None:
        return f"runs if its needs are met: it {outcome_words(task)}"
    if task.task.id not in first:
        return f"{_AGAIN}: it {outcome_words(task)}"
    before = run.tasks[first[task.task.id]]
    why = f"{before.task.id}, which {outcome_words(before)}"
    if ran_on_failure(run, task.task.id):
        return f"{_ANEW}: it ran after {why}"
    return f"{_AGAIN}: it {outcome_words(task)}, but rests on {why}"


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
    if task.task.undo is None:
        return f"stands: it {outcome_words(task)} and has no undo"
    if to and task.outcome == "succeeded":
        return f"stands: it does not come after {to}"
    return f"stands: it {outcome_words(task)}, and its undo is for what succeeded"


def plan_row(
    task: TaskState, stage: Any, what: str, *, destroys: bool = False
) -> Dict[str, Any]:
    """One task of a plan. `destroys`: it is undone, or runs again though it succeeded."""
    was = task.outcome or task.status
    row = {"stage": stage, "id": task.task.id, "was": was, "what": what}
    return {**row, "destroys": destroys}
