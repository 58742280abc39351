"""The verbs that change a run under way: `cancel`, `pause`, `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence, Tuple

import click

from provctl.cli.completion.param_types import RUNS, TASK
from provctl.cli.options.confirm import yes_option
from provctl.cli.options.global_options import view_option
from provctl.cli.options.run_filters import (
    chosen_runs,
    confirm_runs,
    label_filter_option,
)
from provctl.cli.session import print_message

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.labels import Condition
    from provctl.storage.run_summary import RunSummary


def request_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the runs that it is for, by name or by label, and how to ask."""
    for option in (
        click.option("--reason", default="", help="Reason, recorded in the journal."),
        yes_option,
        label_filter_option,
        click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS),
    ):
        verb = option(verb)
    return verb


@click.command()
@request_options
@click.option(
    "--now", is_flag=True, help="Kill tasks immediately, without a grace period."
)
@click.pass_context
def cancel(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    yes: bool,
    reason: str,
    now: bool,
) -> None:
    """Cancel runs, or the runs of a batch.

    Tasks that have not started never start. Running tasks are asked to stop (SIGTERM),
    and killed after the grace period. Finished runs of a batch are skipped, and so are
    those selected by label. Runs selected by label are listed first; at a terminal you
    are asked to confirm, otherwise --yes is required.
    """
    from provctl.core.engine.requests import Cancel

    session: Session = ctx.obj
    going = unfinished_runs(ctx, runs, conditions, verb="cancel", yes=yes, destroys=True)
    for run_id in going:
        session.owner_client.send(Cancel(run_id, reason, now=now))
        print_message(f"cancel requested: {run_id}")


def unfinished_runs(
    ctx: click.Context,
    names: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    *,
    verb: str,
    yes: bool,
    destroys: bool,
) -> List[str]:
    """The runs that are meant and have not ended. Raises Refused for none.

    Of every name there has to be one; runs that only have a label are shown, and
    it is asked, see `agreed`.
    """
    session: Session = ctx.obj
    if names and not conditions:
        every = (chosen_runs(session, [name], ()) for name in names)
        return [run.id for found in every for run in _unfinished(found, verb)]
    going = _unfinished(chosen_runs(session, names, conditions), verb)
    return confirm_runs(ctx, going, verb, yes=yes, destroys=destroys)


_SHOWN = 5


def _unfinished(found: Sequence[RunSummary], verb: str) -> List[RunSummary]:
    from provctl.errors import RequestRejected

    going = [run for run in found if run.outcome is None]
    if not going:
        ended = ", ".join(f"{run.id} {run.outcome}" for run in found[:_SHOWN])
        message = f"nothing to {verb}: {ended}{', ...' if found[_SHOWN:] else ''}"
        hint = "a finished run can only be retried or rolled back"
        raise RequestRejected(message, hint=hint)
    return going


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
    going = unfinished_runs(ctx, runs, conditions, verb="pause", yes=yes, destroys=False)
    for run_id in going:
        session.owner_client.send(Pause(run_id, freeze, reason))
        go_on = session.called.with_flags(f"provctl workflow resume {run_id}")
        print_message(f"paused: {run_id}; let it go on: {go_on}")


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
    from provctl.cli.commands.submit import run_foreground
    from provctl.core.engine.requests import Request, ResolveTask, Resume
    from provctl.errors import RequestRejected, UsageError
    from provctl.runs.wiring import make_executor
    from provctl.scheduler.takeover import ownership_error
    from provctl.storage.run_summary import summarise

    session: Session = ctx.obj
    found = chosen_runs(session, [] if run is None else [run], conditions)
    if conditions or len(found) > 1:
        if jobs or rerun or accept or fail:
            message = "--rerun, --accept, --fail and --jobs are for one run"
            raise UsageError(message, hint="name it")
        _resume_paused(session, found, reason)
        return
    folder = session.folder.run(found[0].id)
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has ended: {account.outcome}"
        raise RequestRejected(
            message, hint=f"try again: provctl workflow retry {folder.id}"
        )
    wishes: List[Request] = [
        ResolveTask(folder.id, task, how, reason)
        for how, tasks in (("rerun", rerun), ("accept", accept), ("fail", fail))
        for task in tasks
    ]
    if account.status == "paused":
        wishes.append(Resume(folder.id, reason))
    if is_locked(folder.lock):
        if not wishes:
            raise ownership_error(folder)
        for wish in wishes:
            session.owner_client.send(wish)
            print_message(_print_decision(wish))
        return
    ctx.exit(
        run_foreground(session, folder.id, make_executor(), jobs=jobs, requests=wishes)
    )


def _resume_paused(session: Session, found: Sequence[RunSummary], reason: str) -> None:
    from provctl.core.engine.requests import Resume
    from provctl.errors import RequestRejected

    paused = [run.id for run in found if run.status == "paused"]
    if not paused:
        message = "none of these runs is paused"
        raise RequestRejected(
            message, hint="see: provctl workflow list --status paused"
        )
    for run_id in paused:
        wish = Resume(run_id, reason)
        session.owner_client.send(wish)
        print_message(_print_decision(wish))


def _print_decision(wish: Any) -> str:
    return (
        f"{wish.task}: {wish.how}" if hasattr(wish, "task") else f"goes on: {wish.run}"
    )
