"""Owns the verbs that take a workflow file: `run`, `submit`, `validate`, `plan`."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import click

from provctl.cli.choice import labelled
from provctl.cli.context import Session, emit, many, tell_help, tell_line, tell_version
from provctl.cli.exits import READER_GONE, exit_code_of
from provctl.cli.notice import notified, tell_end
from provctl.cli.options import reports, shows_runs
from provctl.cli.watch import watch_runs
from provctl.cli.words import FILE, PARAM
from provctl.errors import ProvctlError, UsageProblem
from provctl.text import plain

if TYPE_CHECKING:
    from provctl.app.expected import Chart
    from provctl.app.submit import Wishes
    from provctl.core.model import Task, Workflow
    from provctl.core.requests import Request
    from provctl.executors.base import Executor
    from provctl.journal.summary import RunSummary

__all__ = [
    "give_to_scheduler",
    "hand_over",
    "keyed",
    "own_run",
    "plan",
    "print_submitted",
    "run",
    "submit",
    "treatment",
    "validate",
]


def _params(verb: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="KEY=VALUE",
        type=PARAM,
        help="Set a parameter of the workflow.",
    )(verb)


def treatment(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that say how a new run is to be treated."""
    for option in (
        click.option(
            "--fail-fast", is_flag=True, help="Start nothing more after a failure."
        ),
        click.option(
            "-P",
            "--priority",
            type=click.IntRange(-1000, 1000),
            default=0,
            help="Runs with a higher one start their tasks first.",
        ),
        click.option(
            "-j", "--jobs", type=click.IntRange(1), help="Tasks at the same time."
        ),
    ):
        verb = option(verb)
    return _params(verb)


def keyed(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the option that makes submitting twice submitting once."""
    return click.option(
        "--key", metavar="TEXT", help="Submitted again with it, it is the same run."
    )(verb)


@click.command()
@click.argument("file", type=FILE)
@treatment
@labelled
@notified
@reports
@shows_runs
@click.pass_context
def run(
    ctx: click.Context,
    file: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    labels: Tuple[Tuple[str, str], ...],
    notify: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Run a workflow FILE here and watch it.

    Ctrl-C cancels it, giving its tasks time to end; a second Ctrl-C kills them.
    When the terminal goes away, on SIGTERM, or on provctl workflow detach RUN, it
    goes on in the background. Should this process die, its tasks go on: provctl
    workflow attach RUN.
    """
    from provctl.app.foreground import hold_signals
    from provctl.app.runtime import make_executor
    from provctl.app.submit import Wishes, submit
    from provctl.cli.source import load

    session: Session = ctx.obj
    executor = make_executor()  # gets ready while the file is loaded
    workflow = load(session, file, params)
    # The limit is the run's, for whoever goes on with it.
    wishes = Wishes(priority, None, jobs, fail_fast, labels=dict(labels))
    hold_signals()
    run_id = submit(session.folder, workflow, wishes)
    began = time.monotonic()
    try:
        code = own_run(session, run_id, executor, jobs=jobs)
    except ProvctlError:
        tell_help(session, f"resume the run: provctl workflow resume {run_id}")
        raise
    tell_end(session, [run_id], code, began, how=notify)
    if junit or summary:
        from provctl.cli.report import write_reports

        write_reports(session, [run_id], junit=junit, summary=summary)
    ctx.exit(code)


def own_run(
    session: Session,
    run_id: str,
    executor: Executor,
    *,
    jobs: Optional[int],
    requests: Sequence[Request] = (),
) -> int:
    """Own a run in the foreground and show it; return its exit code."""
    from provctl.app.foreground import Audience, run_in_foreground
    from provctl.cli.conclusion import conclude
    from provctl.cli.read import show_runs
    from provctl.cli.screen import open_screen

    with open_screen(session) as screen:
        audience = Audience(
            tell=lambda facts: screen.tell(facts.run, facts.events),
            say=screen.say,
            tick=lambda state: screen.tick([state]),
            tick_s=screen.tick_s,
        )
        ending = run_in_foreground(
            session.loaded.settings,
            session.folder,
            run_id,
            audience,
            executor=executor,
            reach=session.reach,
            slots=jobs,
            requests=requests,
        )
        if not ending.left:
            screen.close([ending.run])
    if ending.left:
        _tell_where(session, run_id)
    else:
        with suppress(OSError):
            conclude(session, [run_id])
    if ending.left:
        return _LEFT[ending.left]
    code = exit_code_of([ending.run.outcome])
    if session.output != "table":
        try:
            show_runs(session, [run_id], many=False)
        except OSError:
            if code == 0:
                raise
    return code


# Exit code of a command whose run goes on in the background, as shells have it:
# of a SIGHUP, of a closed pipe, of a SIGTERM, of a watcher that was told to stop.
_LEFT = {"hangup": 129, "output": READER_GONE, "terminated": 143, "detached": 130}


def _tell_where(session: Session, run_id: str) -> None:
    """Say that a run goes on in the background, to whoever may still read it."""
    tell_line(f"run {run_id} goes on in the background")
    tell_help(session, f"provctl workflow attach {run_id}")


@click.command(context_settings={"allow_extra_args": True})
@click.argument("file", type=FILE)
@treatment
@keyed
@labelled
@click.option("-w", "--wait", "waits", is_flag=True, help="Wait until it ends.")
@click.pass_context
def submit(
    ctx: click.Context,
    file: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    key: Optional[str],
    labels: Tuple[Tuple[str, str], ...],
    waits: bool,
) -> None:
    """Hand a workflow FILE to the background scheduler, and print the run's id.

    The id is printed when everything needed to run it is safe on disk. The
    scheduler is started if none runs. With a key that was given before, the
    run that has it is meant: it must be the same workflow.
    """
    from provctl.app.submit import Wishes
    from provctl.cli.source import load

    session: Session = ctx.obj
    if ctx.args:
        message = f"one FILE is one run, and there is another: {ctx.args[0]}"
        raise UsageProblem(
            message, hint="several at once: provctl batch submit FILE..."
        )
    workflow = load(session, file, params)
    wishes = Wishes(priority, None, jobs, fail_fast, key, dict(labels))
    (account,) = hand_over(session, [workflow], wishes)
    print_submitted(session, account)
    if waits:
        ctx.exit(watch_runs(session, (account.id,), None, None))


def print_submitted(session: Session, account: RunSummary) -> None:
    """Print the id of a run that was just submitted."""
    if session.output == "table":
        click.echo(f"Workflow submitted: {account.id}")
    else:
        rows = [{"id": account.id, "status": account.status}]
        emit(session, rows, ("id",), name="id")


def hand_over(
    session: Session, workflows: Sequence[Workflow], wishes: Wishes
) -> List[RunSummary]:
    """Put runs on disk, give them to the scheduler, and return what they were then.

    They stay queued, and are said to be, if no scheduler can be reached. Runs that
    were submitted before, with the same key, are given to it again: whoever did it
    may not have come to that. Raises what `app.submit.submit` does; runs that are on
    disk by then are given to the scheduler and named.
    """
    with session.folder.submitting():
        return _hand_over(session, workflows, wishes)


def _hand_over(
    session: Session, workflows: Sequence[Workflow], wishes: Wishes
) -> List[RunSummary]:
    from provctl.app.submit import submit as put
    from provctl.journal.summary import summarise

    folder = session.folder
    ids: List[str] = []
    try:
        for number, workflow in enumerate(workflows):
            ids.append(put(folder, workflow, wishes, part=number))
    except ProvctlError:
        if ids:
            some = f"{len(ids)} of {many(len(workflows), 'run')}"
            tell_line(f"only {some} could be submitted: {', '.join(ids)}")
            give_to_scheduler(session, ids)
        raise
    accounts = [summarise(folder.run(run_id)) for run_id in ids]
    for run in accounts:
        if run.status != "queued":
            said = f"submitted before with this key: {run.id} {run.word}"
            tell_line(said)
    going = [run.id for run in accounts if run.outcome is None]
    if going:
        give_to_scheduler(session, going)
    return accounts


def give_to_scheduler(session: Session, ids: Sequence[str]) -> None:
    """Queue runs that have no owner; say so if no scheduler can be reached."""
    from provctl.errors import SchedulerUnreachable, StateUnusable

    try:
        holder = session.reach.give(ids)
    except (SchedulerUnreachable, StateUnusable) as problem:
        tell_line(f"queued, but not yet taken up: {problem.message}")
        tell_help(session, problem.hint or "")
    else:
        tell_version(session, holder)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@_params
@click.pass_obj
def validate(session: Session, files: Tuple[str, ...], params: Tuple[str, ...]) -> None:
    """Check workflow files and show every mistake; run nothing."""
    from provctl.cli.source import load_all, load_and_look

    def tell(file: str, workflow: Workflow) -> None:
        tasks = many(len(workflow.tasks), "task")
        click.echo(plain(f"{file}: {workflow.name}, {tasks}, valid"))

    load_all(session, files, params, tell, load_one=load_and_look)


@click.command()
@click.argument("file", type=FILE)
@_params
@click.pass_obj
def plan(session: Session, file: str, params: Tuple[str, ...]) -> None:
    """Show the tasks of FILE in the order their needs allow, stage by stage.

    Where earlier runs tell how long tasks take, it also shows that, and how much later
    than planned each may end without the whole ending later.
    """
    from provctl.app.expected import chart_of_workflow, usual_times
    from provctl.cli.source import load_and_look
    from provctl.core.graph import stages

    workflow = load_and_look(session, file, params)
    known = usual_times(session.folder, workflow.name)
    chart = chart_of_workflow(workflow, known)
    rows: List[Dict[str, Any]] = [
        {
            "stage": number,
            "id": task.id,
            "kind": _kind(task.action),
            "undo": _kind(task.undo.action) if task.undo else None,
            "needs": ", ".join(
                need.task if need.on == "success" else f"{need.task} ({need.on})"
                for need in task.needs
            )
            or None,
            "when": None if task.when is None else json.dumps(task.when),
            **_timing(chart, task, known),
        }
        for number, stage in enumerate(stages(workflow.tasks), 1)
        for task in stage
    ]
    columns = ["stage", "id", "kind", "undo", "needs", "when"]
    emit(session, rows, columns + (["usual", "slack"] if known else []), name="id")


def _timing(chart: Chart, task: Task, known: Mapping[str, float]) -> Dict[str, Any]:
    """What earlier runs say of a task: what it takes, and how late it may be."""
    from provctl.core.model import Group
    from provctl.ui.lines import duration

    says = bool(known) and not isinstance(task.action, Group)
    usual_s = known.get(task.id)
    slack_s = chart.timings[task.id].slack_s if says else None
    critical = task.id in chart.critical if says else None
    slack = None if slack_s is None else duration(slack_s)
    return {
        "usual_s": usual_s,
        "slack_s": slack_s,
        "critical": critical,
        "usual": None if usual_s is None else duration(usual_s),
        "slack": "critical" if critical else slack,
    }


def _kind(action: Any) -> str:
    return type(action).__name__.lower()
