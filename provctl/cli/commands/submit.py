"""The verbs that take a workflow file: `run`, `submit`, `validate`, `plan`."""

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

from provctl.base.text import plain
from provctl.cli.commands.monitor import watch_runs
from provctl.cli.completion.param_types import FILE, PARAM
from provctl.cli.exit_codes import READER_GONE, exit_code_of
from provctl.cli.options.global_options import report_options, view_option
from provctl.cli.options.run_filters import label_option
from provctl.cli.session import (
    Session,
    emit,
    plural,
    print_hint,
    print_message,
    warn_version,
)
from provctl.cli.watching.notify import notify_end, notify_option
from provctl.errors import ProvctlError, UsageError

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.core.model.workflow import Task, Workflow
    from provctl.executors.protocol import Executor
    from provctl.runs.history.estimates import CriticalPathReport
    from provctl.runs.submit import SubmitOptions
    from provctl.storage.run_summary import RunSummary


def params_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="KEY=VALUE",
        type=PARAM,
        help="Set a parameter of the workflow; repeat for more.",
    )(verb)


def run_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that say how a new run is to be treated."""
    for option in (
        click.option(
            "--fail-fast",
            is_flag=True,
            help="Do not start new tasks after the first failure.",
        ),
        click.option(
            "-P",
            "--priority",
            type=click.IntRange(-1000, 1000),
            default=0,
            help="Run priority; higher starts first (default: 0).",
        ),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(1),
            help="Maximum number of tasks to run in parallel.",
        ),
    ):
        verb = option(verb)
    return params_option(verb)


def key_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the option that makes submitting twice submitting once."""
    return click.option(
        "--key",
        metavar="TEXT",
        help="Idempotency key: submitting again with the same key returns the existing run.",
    )(verb)


@click.command()
@click.argument("file", type=FILE)
@run_options
@label_option
@notify_option
@report_options
@view_option
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
    """Run a workflow FILE in the foreground and watch it.

    Ctrl-C cancels the run and gives its tasks time to stop; a second Ctrl-C kills them.
    The run continues in the background when the terminal closes, on SIGTERM, and on
    provctl detach RUN. If this command is killed, running tasks continue: use provctl
    attach RUN.
    """
    from provctl.cli.load_workflow import load
    from provctl.runs.foreground import block_signals
    from provctl.runs.submit import SubmitOptions, submit
    from provctl.runs.wiring import make_executor

    session: Session = ctx.obj
    executor = make_executor()  # gets ready while the file is loaded
    workflow = load(session, file, params)
    # The limit is the run's, for whoever goes on with it.
    wishes = SubmitOptions(priority, None, jobs, fail_fast, labels=dict(labels))
    block_signals()
    run_id = submit(session.folder, workflow, wishes)
    began = time.monotonic()
    try:
        code = run_foreground(session, run_id, executor, jobs=jobs)
    except ProvctlError:
        print_hint(session, f"resume the run: provctl workflow resume {run_id}")
        raise
    notify_end(session, [run_id], code, began, how=notify)
    if junit or summary:
        from provctl.cli.commands.report import write_reports

        write_reports(session, [run_id], junit=junit, summary=summary)
    ctx.exit(code)


def run_foreground(
    session: Session,
    run_id: str,
    executor: Executor,
    *,
    jobs: Optional[int],
    requests: Sequence[Request] = (),
) -> int:
    """Own a run in the foreground and show it; return its exit code."""
    from provctl.cli.ci.job_results import write_ci_summary
    from provctl.cli.commands.status import show_runs
    from provctl.cli.watching.open_view import open_screen
    from provctl.runs.foreground import Observer, run_in_foreground

    with open_screen(session) as screen:
        audience = Observer(
            on_update=lambda facts: screen.on_update(facts.run, facts.events),
            say=screen.print_note,
            on_tick=lambda state: screen.on_tick([state]),
            tick_s=screen.tick_s,
        )
        ending = run_in_foreground(
            session.loaded.settings,
            session.folder,
            run_id,
            audience,
            executor=executor,
            owner_client=session.owner_client,
            slots=jobs,
            requests=requests,
        )
        if not ending.left:
            screen.close([ending.run])
    if ending.left:
        _tell_where(session, run_id)
    else:
        with suppress(OSError):
            write_ci_summary(session, [run_id])
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
    print_message(f"run {run_id} goes on in the background")
    print_hint(session, f"provctl workflow attach {run_id}")


@click.command(context_settings={"allow_extra_args": True})
@click.argument("file", type=FILE)
@run_options
@key_option
@label_option
@click.option(
    "-w", "--wait", "waits", is_flag=True, help="Wait until the run finishes."
)
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
    """Submit a workflow FILE to the background scheduler and print the run's id.

    The id is printed once the run is safely on disk. The scheduler is started if it is
    not running. If the key was used before, the existing run is returned; the workflow
    must be identical.
    """
    from provctl.cli.load_workflow import load
    from provctl.runs.submit import SubmitOptions

    session: Session = ctx.obj
    if ctx.args:
        message = f"one FILE is one run, and there is another: {ctx.args[0]}"
        raise UsageError(message, hint="several at once: provctl batch submit FILE...")
    workflow = load(session, file, params)
    wishes = SubmitOptions(priority, None, jobs, fail_fast, key, dict(labels))
    (account,) = submit_runs(session, [workflow], wishes)
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


def submit_runs(
    session: Session, workflows: Sequence[Workflow], wishes: SubmitOptions
) -> List[RunSummary]:
    """Put runs on disk, give them to the scheduler, and return what they were then.

    They stay queued, and are said to be, if no scheduler can be reached. Runs that
    were submitted before, with the same key, are given to it again: whoever did it
    may not have come to that. Raises what `runs.submit.submit` does; runs that are on
    disk by then are given to the scheduler and named.
    """
    with session.folder.submitting():
        return _submit_loaded(session, workflows, wishes)


def _submit_loaded(
    session: Session, workflows: Sequence[Workflow], wishes: SubmitOptions
) -> List[RunSummary]:
    from provctl.runs.submit import submit as put
    from provctl.storage.run_summary import summarise

    folder = session.folder
    ids: List[str] = []
    try:
        for number, workflow in enumerate(workflows):
            ids.append(put(folder, workflow, wishes, part=number))
    except ProvctlError:
        if ids:
            some = f"{len(ids)} of {plural(len(workflows), 'run')}"
            print_message(f"only {some} could be submitted: {', '.join(ids)}")
            enqueue_runs(session, ids)
        raise
    accounts = [summarise(folder.run(run_id)) for run_id in ids]
    for run in accounts:
        if run.status != "queued":
            said = f"submitted before with this key: {run.id} {run.status_word}"
            print_message(said)
    going = [run.id for run in accounts if run.outcome is None]
    if going:
        enqueue_runs(session, going)
    return accounts


def enqueue_runs(session: Session, ids: Sequence[str]) -> None:
    """Queue runs that have no owner; say so if no scheduler can be reached."""
    from provctl.errors import SchedulerUnreachable, StateDirError

    try:
        holder = session.owner_client.enqueue(ids)
    except (SchedulerUnreachable, StateDirError) as problem:
        print_message(f"queued, but not yet taken up: {problem.message}")
        print_hint(session, problem.hint or "")
    else:
        warn_version(session, holder)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@params_option
@click.pass_obj
def validate(session: Session, files: Tuple[str, ...], params: Tuple[str, ...]) -> None:
    """Check workflow files and show all errors; run nothing."""
    from provctl.cli.load_workflow import load_all, load_and_check_scripts

    def tell(file: str, workflow: Workflow) -> None:
        tasks = plural(len(workflow.tasks), "task")
        click.echo(plain(f"{file}: {workflow.name}, {tasks}, valid"))

    load_all(session, files, params, tell, load_one=load_and_check_scripts)


@click.command()
@click.argument("file", type=FILE)
@params_option
@click.pass_obj
def plan(session: Session, file: str, params: Tuple[str, ...]) -> None:
    """Show the tasks of FILE in the order of their dependencies, stage by stage.

    If there are earlier runs, it also shows the expected durations and the slack: how
    much later a task can finish without delaying the whole run.
    """
    from provctl.cli.load_workflow import load_and_check_scripts
    from provctl.core.model.graph import stages
    from provctl.runs.history.estimates import (
        critical_path_of_workflow,
        median_durations,
    )

    workflow = load_and_check_scripts(session, file, params)
    known = median_durations(session.folder, workflow.name)
    chart = critical_path_of_workflow(workflow, known)
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


def _timing(
    chart: CriticalPathReport, task: Task, known: Mapping[str, float]
) -> Dict[str, Any]:
    """What earlier runs say of a task: what it takes, and how late it may be."""
    from provctl.core.model.workflow import SubWorkflow
    from provctl.render.text import duration

    says = bool(known) and not isinstance(task.action, SubWorkflow)
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
    from provctl.core.model import workflow

    names = {
        workflow.NushellCall: "call",
        workflow.Script: "script",
        workflow.Command: "command",
        workflow.SubWorkflow: "group",
    }
    return names[type(action)]
