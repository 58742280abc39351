"""What `retry` and `rollback` share: the plan is shown, confirmed and sent."""

from __future__ import annotations

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
)

import click

from provctl.cli.options.confirm import DECLINED, confirm, yes_option
from provctl.cli.options.global_options import view_option
from provctl.cli.options.run_filters import chosen_runs
from provctl.cli.session import print_message

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.engine.requests import Request
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.labels import Condition
    from provctl.storage.run_summary import RunSummary


Rows = List[Dict[str, Any]]


def reopening_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that both have."""
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


def runs_to_reopen(
    session: Session,
    name: Optional[str],
    fits: Callable[[RunSummary], bool],
    conditions: Tuple[Condition, ...],
) -> List[str]:
    """The run, or those of a batch or with labels to which the request applies."""
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
    """Show the plan of each run, ask for confirmation, send the requests."""
    from provctl.cli.session import emit
    from provctl.cli.watching.watch_runs import interrupted_hint, watch_if_asked
    from provctl.errors import NotFound, RequestRejected
    from provctl.runs.follow import Follower

    plans: Dict[str, Rows] = {}
    changed: Dict[str, None] = {}
    for run_id in run_ids:
        follower = Follower(session.folder.run(run_id))
        follower.read_state()
        try:
            _refuse_nothing(wish(run_id), follower.run)
        except (NotFound, RequestRejected):
            if len(run_ids) == 1:
                raise
            continue  # in a batch, runs to which it does not apply are skipped
        plans[run_id] = rows(follower.run)
        changed.update(_changed_file(follower.run))
    if not plans:
        message = f"nothing to {verb} in these runs"
        raise RequestRejected(message, hint="see: provctl list, or batch status")
    for file in changed:
        interrupted_hint(
            f"{file} has changed since; {verb} uses the submitted version; to use the"
            " new one, submit it again"
        )
    if plan:
        plan_rows = [
            {"run": run, **row} for run, rows_ in plans.items() for row in rows_
        ]
        emit(session, plan_rows, ("run", "stage", "id", "was", "what"), name="id")
        return 0
    for run_id, rows_ in plans.items():
        _show(verb, run_id, rows_)
    destroys = any(row["destroys"] for rows_ in plans.values() for row in rows_)
    if not confirm("continue?", yes=yes, destroys=destroys):
        return DECLINED
    for run_id in plans:
        session.owner_client.send(wish(run_id))
        print_message(f"{verb} requested: {run_id}")
    return watch_if_asked(session, tuple(plans)) if waits else 0


def _changed_file(run: RunState) -> Dict[str, None]:
    """The file that a run came from, if it was changed after the submission."""
    source = run.workflow.source
    try:
        changed = os.stat(source).st_mtime > run.submitted.at  # noqa: PTH116  may be ""
    except OSError:  # the file is gone, or the workflow came through the API
        return {}
    return {source: None} if changed else {}


def _refuse_nothing(request: Request, run: RunState) -> None:
    """Raise what the owner would refuse: a request is never silently ignored."""
    from provctl.core.engine.requests import admit
    from provctl.core.engine.state import State

    state = State(slots=0, capacity={})
    state.runs[request.run] = run
    admit(state, request, run.last_at)


def _show(verb: str, run_id: str, rows: Rows) -> None:

    print_message(f"{verb} of run {run_id}:")
    changes = [row for row in rows if row["what"] != UNCHANGED]
    kept = len(rows) - len(changes)
    width = max((len(row["id"]) for row in changes), default=0)
    for row in changes:
        print_message(f"  {row['id']:<{width}}  {row['what']}")
    if kept:
        print_message(f"  {kept} unchanged")


def outcome_words(task: TaskState) -> str:
    """Return how a task finished, or its status, for a sentence."""
    from provctl.core.model.status import outcome_phrase

    return outcome_phrase(task.outcome) if task.outcome else f"is {task.status}"


UNCHANGED = "unchanged"


def plan_row(
    task: TaskState, stage: Any, what: str, *, destroys: bool = False
) -> Dict[str, Any]:
    """One task of a plan. `destroys`: it is undone, or runs again though it succeeded."""
    was = task.outcome or task.status
    row = {"stage": stage, "id": task.task.id, "was": was, "what": what}
    return {**row, "destroys": destroys}
