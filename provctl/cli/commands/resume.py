"""`provctl resume`: continues paused, on-hold and orphaned runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

import click

from provctl.cli.completion.param_types import RUNS, TASK
from provctl.cli.options.global_options import view_option
from provctl.cli.options.run_filters import (
    chosen_runs,
    label_filter_option,
)
from provctl.cli.session import print_message

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.labels import Condition
    from provctl.storage.run_summary import RunSummary


@click.command()
@click.argument("run", metavar="RUN", required=False, type=RUNS)
@label_filter_option
@click.option(
    "--rerun",
    multiple=True,
    metavar="TASK",
    type=TASK,
    help="Run a task on hold again.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="TASK",
    type=TASK,
    help="Count a task on hold as succeeded.",
)
@click.option(
    "--fail",
    multiple=True,
    metavar="TASK",
    type=TASK,
    help="Count a task on hold as failed.",
)
@click.option("--reason", default="", help="Reason, recorded in the journal.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    help="Maximum number of tasks to run in parallel.",
)
@view_option
@click.pass_context
def resume(
    ctx: click.Context,
    run: Optional[str],
    conditions: Tuple[Condition, ...],
    rerun: Tuple[str, ...],
    accept: Tuple[str, ...],
    fail: Tuple[str, ...],
    reason: str,
    jobs: int,
) -> None:
    """Resume a paused, on-hold or orphaned run.

    A run is orphaned if the process that owned it died. It continues here, in the
    foreground: running tasks are adopted, the results of tasks that finished meanwhile
    are recorded, and the others are started. A paused run continues where it is.

    A task is on hold if its result is unknown: resolve it with --rerun, --accept or
    --fail. If the run is active, the decision is sent to the process that owns it.
    With a batch or with labels, every paused run is resumed, in the background.
    """
    from provctl.base.flock import is_locked
    from provctl.cli.watching.run_foreground import run_foreground
    from provctl.core.engine.requests import Request, ResolveTask, Resume
    from provctl.errors import RequestRejected, UsageError
    from provctl.runs.wiring import make_executor
    from provctl.scheduler.takeover import ownership_error
    from provctl.storage.run_summary import summarise

    session: Session = ctx.obj
    found = chosen_runs(session, [] if run is None else [run], conditions)
    if conditions or len(found) > 1:
        if jobs or rerun or accept or fail:
            message = "--rerun, --accept, --fail and --jobs need a single run"
            raise UsageError(message, hint="name the run")
        _resume_paused(session, found, reason)
        return
    folder = session.folder.run(found[0].id)
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has already finished ({account.outcome})"
        raise RequestRejected(message, hint=f"to retry it: provctl retry {folder.id}")
    requests: List[Request] = [
        ResolveTask(folder.id, task, how, reason)
        for how, tasks in (("rerun", rerun), ("accept", accept), ("fail", fail))
        for task in tasks
    ]
    if account.status == "paused":
        requests.append(Resume(folder.id, reason))
    if is_locked(folder.lock):
        if not requests:
            raise ownership_error(folder)
        for request in requests:
            session.owner_client.send(request)
            print_message(_print_decision(request))
        return
    executor = make_executor(session.loaded.settings, session.folder)
    ctx.exit(run_foreground(session, folder.id, executor, jobs=jobs, requests=requests))


def _resume_paused(session: Session, found: Sequence[RunSummary], reason: str) -> None:
    from provctl.core.engine.requests import Resume
    from provctl.errors import RequestRejected

    paused = [run.id for run in found if run.status == "paused"]
    if not paused:
        message = "none of these runs is paused"
        raise RequestRejected(message, hint="see: provctl list --status paused")
    for run_id in paused:
        request = Resume(run_id, reason)
        session.owner_client.send(request)
        print_message(_print_decision(request))


def _print_decision(wish: Any) -> str:
    return (
        f"{wish.task}: {wish.how}" if hasattr(wish, "task") else f"resumed: {wish.run}"
    )
