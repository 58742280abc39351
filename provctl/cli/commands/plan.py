"""`provctl plan`: the stages of a workflow file."""

from __future__ import annotations

import json
import shlex
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Tuple,
)

import click

from provctl.cli.completion.param_types import FILE, TARGET
from provctl.cli.options.run_options import params_option
from provctl.cli.session import (
    Session,
    emit,
    print_hint,
)
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.core.model.workflow import Task, Workflow
    from provctl.runs.history.estimates import CriticalPathReport


@click.command()
@click.argument("file", type=FILE)
@params_option()
@click.option(
    "--save",
    "target",
    metavar="PLAN",
    type=TARGET,
    help="Save the plan to a file, for provctl apply.",
)
@click.pass_obj
def plan(
    session: Session, file: str, params: Tuple[str, ...], target: Optional[str]
) -> None:
    """Show the tasks of FILE in the order of their dependencies, stage by stage.

    If there are earlier runs, it also shows the expected durations and the slack: how
    much later a task can finish without delaying the whole run.

    A saved plan contains the workflow with its parameters, the digests of the modules of
    the Nushell library, and versions. It contains no variables of the environment.
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
            "finalizer": task.finalizer,
            "needs": _needs(task),
            "when": None if task.when is None else json.dumps(task.when),
            **_timing(chart, task, known),
        }
        for number, stage in enumerate(stages(workflow.tasks), 1)
        for task in stage
    ]
    columns = ["stage", "id", "kind", "undo", "needs", "when"]
    emit(session, rows, columns + (["usual", "slack"] if known else []), name="id")
    if target is not None:
        _save(session, workflow, target)


def _save(session: Session, workflow: Workflow, target: str) -> None:
    from pathlib import Path

    from provctl.base.atomic_write import write_whole
    from provctl.runs.saved_plan import dump_plan, make_plan
    from provctl.scheduler.clock import Clock

    try:
        saved = make_plan(workflow, session.loaded.settings, Clock().now())
        write_whole(Path(target), dump_plan(saved))
    except OSError as problem:
        message = f"{problem.filename or target}: {problem.strerror}"
        raise UsageError(message) from problem
    print_hint(session, f"provctl apply {shlex.quote(target)}")


def _needs(task: Task) -> Optional[str]:
    """What a task waits for, in words."""
    needs = [
        need.task if need.on == "success" else f"{need.task} ({need.on})"
        for need in task.needs
    ]
    return ", ".join(["all tasks", *needs] if task.finalizer else needs) or None


def _timing(
    chart: CriticalPathReport, task: Task, known: Mapping[str, float]
) -> Dict[str, Any]:
    """Statistics of a task from earlier runs: duration and slack."""
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
