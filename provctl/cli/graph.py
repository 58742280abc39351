"""Owns `graph`: a workflow file or a run as a picture, the critical path marked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Dict, Mapping, Sequence, Tuple

import click

from provctl.cli.words import FILE_OR_RUN, PARAM

if TYPE_CHECKING:
    from provctl.app.expected import Chart
    from provctl.app.follow import Follower
    from provctl.cli.context import Session
    from provctl.core.model import Task
    from provctl.core.state import RunState
    from provctl.core.view import TaskView
    from provctl.ui.picture import Picture

__all__ = ["graph", "now_of", "picture_of_run"]

_SLACK_S = 0.1  # below which there is none
_FORMATS = ("text", "mermaid", "dot", "svg")


@click.command()
@click.argument("what", metavar="FILE|RUN", type=FILE_OR_RUN)
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE", type=PARAM)
@click.option(
    "-f", "--format", "form", type=click.Choice(_FORMATS), default="text",
    show_default=True, help="What to print.",
)  # fmt: skip
@click.pass_obj
def graph(session: Session, what: str, params: Tuple[str, ...], form: str) -> None:
    """Draw the tasks of a workflow FILE, or of a RUN coloured by how they ended.

    The critical path is marked: of a run by the times it took, of a file by what
    earlier runs took. Slack is how much later a task could end without the whole
    ending later.

    \b
    provctl graph deploy.ncl                    by stages, as text
    provctl graph @last -f svg > run.svg        as an image
    provctl graph @last -f mermaid              for GitHub's and GitLab's pages
    """
    from provctl.cli.source import is_file

    if is_file(what):
        drawn = _picture_of_file(session, what, params)
    else:
        from provctl.app.follow import Follower
        from provctl.app.select import find_run

        follower = Follower(session.folder.run(find_run(session.folder, what)))
        follower.read()
        drawn = picture_of_run(follower.run, now_of(follower), follower.unattended())
    click.echo(_drawn(drawn, form), nl=False)


def _drawn(drawn: Picture, form: str) -> str:
    from provctl.ui import picture_text

    if form == "svg":
        from provctl.ui.picture_svg import as_svg

        return as_svg(drawn)
    draw: Dict[str, Callable[[Picture], str]] = {
        "text": picture_text.as_text,
        "mermaid": picture_text.as_mermaid,
        "dot": picture_text.as_dot,
    }
    return draw[form](drawn)


def now_of(follower: Follower) -> float:
    """Return up to when a run is known: its end, now, or what its last owner wrote."""
    run = follower.run
    if run.finished_at is None and follower.was_owned:
        return time.time()  # noqa: TID251  # for people only
    return run.finished_at or run.last_at


def picture_of_run(
    run: RunState, now: float, unattended: Mapping[str, str] = {}
) -> Picture:
    """Return the picture of a run; `now`, in seconds since the epoch, ends what runs.

    `unattended` are its running tasks, if nobody owns it.
    """
    from provctl.app.expected import chart_of_run
    from provctl.core.selection import why_stale
    from provctl.core.view import task_view

    seen = {name: task_view(task) for name, task in run.tasks.items()}
    said = {
        name: "stale" for name in why_stale(run) if seen[name].outcome == "succeeded"
    }
    said.update(dict.fromkeys(unattended, "without an owner"))
    title = f"{run.submitted.name} {run.submitted.run}: {run.outcome or run.status}"
    chart = chart_of_run(run, now)
    # What may still change says nothing of who has time.
    has_ended = run.outcome is not None
    return _picture(title, run.workflow.tasks, seen, chart, slack=has_ended, said=said)


def _picture_of_file(session: Session, file: str, params: Sequence[str]) -> Picture:
    from provctl.app.expected import chart_of_workflow, usual_times
    from provctl.cli.source import load

    workflow = load(session, file, params)
    known = usual_times(session.folder, workflow.name)
    chart = chart_of_workflow(workflow, known)
    return _picture(workflow.name, workflow.tasks, {}, chart, slack=bool(known))


def _picture(
    title: str,
    tasks: Sequence[Task],
    seen: Mapping[str, TaskView],
    chart: Chart,
    *,
    slack: bool,
    said: Mapping[str, str] = {},
) -> Picture:
    from provctl.ui.lines import duration
    from provctl.ui.picture import picture

    notes = {name: duration(s) for name, s in chart.took_s.items() if s > 0}
    for name in notes if slack else ():
        spare = chart.timings[name].slack_s
        notes[name] += f", {duration(spare)} slack" if spare >= _SLACK_S else ""
    return picture(title, tasks, seen, chart.path, {**notes, **said})
