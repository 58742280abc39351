"""`graph`: a workflow file or a run as a picture, the critical path marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, Sequence, Tuple

import click

from provctl.cli.completion.param_types import FILE_OR_RUN
from provctl.cli.options.run_options import params_option

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.render.graph.layout import GraphLayout


_FORMATS = ("text", "mermaid", "dot", "svg")


@click.command()
@click.argument("what", metavar="FILE|RUN", type=FILE_OR_RUN)
@params_option("Set a parameter of the workflow FILE.")
@click.option(
    "-f", "--format", "form", type=click.Choice(_FORMATS), default="text",
    show_default=True, help="Output format.",
)  # fmt: skip
@click.pass_obj
def graph(session: Session, what: str, params: Tuple[str, ...], form: str) -> None:
    """Draw the tasks of a workflow FILE, or of a RUN coloured by outcome.

    The critical path is marked: for a run by its own durations, for a file by those of
    earlier runs. Slack is how much later a task can finish without delaying the whole
    run.

    \b
    provctl graph deploy.ncl                    as text, by stage
    provctl graph @last -f svg > run.svg        as an image
    provctl graph @last -f mermaid              for pages of GitHub and GitLab
    """
    from provctl.cli.load_workflow import is_file

    if is_file(what):
        drawn = _picture_of_file(session, what, params)
    else:
        from provctl.cli.run_graph import now_of, picture_of_run
        from provctl.runs.find import find_run
        from provctl.runs.follow import Follower

        follower = Follower(session.folder.run(find_run(session.folder, what)))
        follower.read_state()
        drawn = picture_of_run(follower.run, now_of(follower), follower.unattended())
    click.echo(_drawn(drawn, form), nl=False)


def _drawn(drawn: GraphLayout, form: str) -> str:
    from provctl.render.graph import text

    if form == "svg":
        from provctl.render.graph.svg import as_svg

        return as_svg(drawn)
    draw: Dict[str, Callable[[GraphLayout], str]] = {
        "text": text.as_text,
        "mermaid": text.as_mermaid,
        "dot": text.as_dot,
    }
    return draw[form](drawn)


def _picture_of_file(session: Session, file: str, params: Sequence[str]) -> GraphLayout:
    from provctl.cli.load_workflow import load
    from provctl.cli.run_graph import task_graph
    from provctl.runs.history.estimates import (
        critical_path_of_workflow,
        median_durations,
    )

    workflow = load(session, file, params)
    known = median_durations(session.folder, workflow.name)
    chart = critical_path_of_workflow(workflow, known)
    return task_graph(workflow.name, workflow.tasks, {}, chart, slack=bool(known))
