"""`provctl apply`: a saved plan in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

import click

from provctl.cli.completion.param_types import PLACE
from provctl.cli.options.global_options import report_options, view_option
from provctl.cli.options.run_filters import label_option
from provctl.cli.options.run_options import new_run_options
from provctl.cli.options.value_types import DURATION
from provctl.cli.watching.notify import notify_option
from provctl.cli.watching.run_workflow import AfterRun, run_workflow
from provctl.errors import RequestRejected

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.workflow import Workflow
    from provctl.runs.saved_plan import SavedPlan

_MAX_AGE_S = 7 * 86_400.0


@click.command()
@click.argument("plan", type=PLACE)
@click.option(
    "--max-age",
    "max_age_s",
    type=DURATION,
    default=_MAX_AGE_S,
    help="Refuse an older plan; 0 for no limit (default: 7d).",
)
@new_run_options
@label_option
@notify_option
@report_options
@view_option
@click.pass_context
def apply(
    ctx: click.Context,
    plan: str,
    max_age_s: float,
    jobs: Optional[int],
    priority: int,
    fail_fast: bool,
    labels: Tuple[Tuple[str, str], ...],
    notify: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Run exactly the workflow of a PLAN, which provctl plan --save has written.

    The plan is refused if the Nushell library, Nushell or provctl has changed since, or
    if it is too old. Later changes of the workflow file and its parameters do not
    matter. Environment variables are those of this command.
    """
    from provctl.runs.submit import SubmitOptions
    from provctl.runs.wiring import make_executor

    session: Session = ctx.obj
    # It gets ready while the file is loaded.
    executor = make_executor(session.loaded.settings, session.folder)
    workflow = _load(session, plan, max_age_s)
    options = SubmitOptions(priority, None, jobs, fail_fast, labels=dict(labels))
    after = AfterRun(notify, junit, summary)
    ctx.exit(run_workflow(session, workflow, options, executor, after))


def _load(session: Session, plan: str, max_age_s: float) -> Workflow:
    from dataclasses import replace

    from provctl.runs.load_context import check_tools
    from provctl.runs.saved_plan import changes, read_plan
    from provctl.runs.task_environment import task_environment
    from provctl.workflow_files.source_text import invalid

    settings = session.loaded.settings
    try:
        saved = read_plan(Path(plan))
        found = _age(saved, max_age_s) + changes(saved, settings)
    except OSError as problem:
        raise invalid(problem.filename or plan, f"{problem.strerror}") from problem
    if found:
        message = f"{plan} cannot be applied: {'; '.join(found)}"
        hint = "save the plan again, and look at it: provctl plan FILE --save PLAN"
        raise RequestRejected(message, hint=hint)
    environment = task_environment(session.environ, settings.executor.env_passthrough)
    workflow = replace(saved.workflow, environment=environment)
    check_tools(settings, workflow)
    return workflow


def _age(saved: SavedPlan, max_age_s: float) -> List[str]:
    """Return in words that a plan is too old, if it is."""
    from provctl.render.text import duration
    from provctl.scheduler.clock import Clock

    age_s = Clock().now() - saved.saved_at
    if not max_age_s or age_s <= max_age_s:
        return []
    return [f"it was saved {duration(age_s)} ago, the limit is {duration(max_age_s)}"]
