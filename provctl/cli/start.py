"""Owns the verbs that take a workflow file: `run`, `submit`, `validate`, `plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

import click

from provctl.cli.context import Session, emit
from provctl.cli.watch import exit_code_of, watch_runs

if TYPE_CHECKING:
    from provctl.core.model import Workflow
    from provctl.core.requests import Request
    from provctl.executors.base import Executor

__all__ = ["hand_over", "own_run", "plan", "run", "submit", "treatment", "validate"]

_FILE = click.Path(dir_okay=True)


def _params(verb: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="KEY=VALUE",
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


@click.command()
@click.argument("file", type=_FILE)
@treatment
@click.pass_context
def run(
    ctx: click.Context,
    file: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
) -> None:
    """Run a workflow FILE here and watch it.

    Ctrl-C cancels it, giving its tasks time to end; a second Ctrl-C kills them.
    Should this process die, its tasks go on: provctl workflow resume RUN.
    """
    from provctl.app.runtime import make_executor
    from provctl.app.submit import Wishes, submit
    from provctl.cli.source import load

    session: Session = ctx.obj
    executor = make_executor()  # gets ready while the file is loaded
    workflow = load(session, file, params)
    wishes = Wishes(priority=priority, fail_fast=fail_fast)
    run_id = submit(session.folder, workflow, wishes)
    ctx.exit(own_run(session, run_id, executor, jobs=jobs))


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
    from provctl.cli.read import show_runs
    from provctl.cli.screen import open_screen

    talk = session.output != "table"
    with open_screen(session.folder, session.environ, talk=talk) as screen:
        audience = Audience(
            tell=lambda facts: screen.tell(facts.run, facts.events),
            tick=(lambda state: screen.tick([state])) if screen.live else None,
        )
        state = run_in_foreground(
            session.loaded.settings,
            session.folder,
            run_id,
            audience,
            executor=executor,
            slots=jobs,
            requests=requests,
        )
        screen.close([state])
    if talk:
        show_runs(session, [run_id], many=False)
    return exit_code_of([state.outcome])


@click.command()
@click.argument("file", type=_FILE)
@treatment
@click.option("-w", "--wait", "waits", is_flag=True, help="Wait until it ends.")
@click.pass_context
def submit(
    ctx: click.Context,
    file: str,
    params: Tuple[str, ...],
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    waits: bool,
) -> None:
    """Hand a workflow FILE to the background scheduler, and print the run's id.

    The id is printed when everything needed to run it is safe on disk. The
    scheduler is started if none runs.
    """
    from provctl.app.submit import Wishes
    from provctl.cli.source import load

    session: Session = ctx.obj
    workflow = load(session, file, params)
    wishes = Wishes(priority=priority, max_parallel=jobs, fail_fast=fail_fast)
    (run_id,) = hand_over(session, [workflow], wishes)
    _print_submitted(session, run_id)
    if waits:
        ctx.exit(watch_runs(session, (run_id,), None, None))


def _print_submitted(session: Session, run_id: str) -> None:
    if session.output == "table":
        click.echo(f"Workflow submitted: {run_id}")
    else:
        emit(session, [{"id": run_id, "status": "queued"}], ("id",), name="id")


def hand_over(
    session: Session, workflows: Sequence[Workflow], wishes: Any
) -> List[str]:
    """Put runs on disk, give them to the scheduler, and return their ids.

    They stay queued, and are said to be, if no scheduler can be reached.
    """
    from provctl.app.submit import submit as put
    from provctl.errors import SchedulerUnreachable, StateUnusable

    ids = [put(session.folder, workflow, wishes) for workflow in workflows]
    for run_id in ids:
        session.folder.enqueue(run_id)
    try:
        session.reach.ensure_scheduler()
        session.reach.ask_scheduler("poke")
    except (SchedulerUnreachable, StateUnusable) as problem:
        click.echo(f"queued, but not yet taken up: {problem.message}", err=True)
        click.echo(f"help:  {problem.hint}", err=True)
    return ids


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@_params
@click.pass_obj
def validate(session: Session, files: Tuple[str, ...], params: Tuple[str, ...]) -> None:
    """Check workflow files and show every mistake; run nothing."""
    from provctl.cli.source import load
    from provctl.errors import Mistake, WorkflowInvalid

    mistakes: List[Mistake] = []
    for file in files:
        try:
            workflow = load(session, file, params)
        except WorkflowInvalid as problem:
            mistakes += problem.mistakes
            continue
        click.echo(f"{file}: {workflow.name}, {len(workflow.tasks)} tasks, valid")
    if mistakes:
        raise WorkflowInvalid(mistakes)


@click.command()
@click.argument("file", type=_FILE)
@_params
@click.pass_obj
def plan(session: Session, file: str, params: Tuple[str, ...]) -> None:
    """Show the tasks of FILE in the order their needs allow, stage by stage."""
    from provctl.cli.source import load
    from provctl.core.graph import stages

    workflow = load(session, file, params)
    rows: List[Dict[str, Any]] = [
        {
            "stage": number,
            "id": task.id,
            "kind": type(task.action).__name__.lower(),
            "needs": ", ".join(
                need.task if need.on == "success" else f"{need.task} ({need.on})"
                for need in task.needs
            )
            or None,
            "when": None if task.when is None else json.dumps(task.when),
        }
        for number, stage in enumerate(stages(workflow.tasks), 1)
        for task in stage
    ]
    emit(session, rows, ("stage", "id", "kind", "needs", "when"), name="id")
