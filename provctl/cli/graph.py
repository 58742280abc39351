"""Owns `graph`: a workflow file or a run as a picture, the critical path marked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Mapping, Sequence, Tuple

import click

from provctl.cli.words import FILE_OR_RUN, PARAM

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.core.model import Task
    from provctl.core.state import RunState
    from provctl.core.view import TaskView
    from provctl.ui.picture import Picture

__all__ = ["graph", "picture_of_run"]

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
    earlier runs took.

    \b
    provctl graph deploy.ncl                    by stages, as text
    provctl graph @last -f svg > run.svg        as an image
    provctl graph @last -f mermaid              for GitHub's and GitLab's pages
    """
    from provctl.spec.sources import SUFFIXES

    if Path(what).suffix in SUFFIXES and Path(what).exists():
        drawn = _picture_of_file(session, what, params)
    else:
        from provctl.app.follow import Follower
        from provctl.app.select import find_run

        follower = Follower(session.folder.run(find_run(session.folder, what)))
        follower.read()
        now = follower.run.finished_at or time.time()  # noqa: TID251  # for people
        drawn = picture_of_run(follower.run, now)
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


def picture_of_run(run: RunState, now: float) -> Picture:
    """Return the picture of a run; `now`, in seconds since the epoch, ends what runs."""
    from provctl.core.view import task_view

    seen = {name: task_view(task) for name, task in run.tasks.items()}
    took = {name: _took(view, now) for name, view in seen.items()}
    title = f"{run.submitted.name} {run.submitted.run}: {run.outcome or run.status}"
    return _picture(title, run.workflow.tasks, seen, took)


def _took(view: TaskView, now: float) -> float:
    if view.started_at is None:
        return 0.0
    return max((view.finished_at or now) - view.started_at, 0.0)


def _picture_of_file(session: Session, file: str, params: Sequence[str]) -> Picture:
    from provctl.app.past import past_runs
    from provctl.cli.source import load
    from provctl.core.pace import paces

    workflow = load(session, file, params)
    known = paces(past_runs(session.folder, workflow.name))
    took = {name: pace.p50_s for name, pace in known.items() if pace.p50_s is not None}
    return _picture(workflow.name, workflow.tasks, {}, took)


def _picture(
    title: str,
    tasks: Sequence[Task],
    seen: Mapping[str, TaskView],
    took_s: Mapping[str, float],
) -> Picture:
    from provctl.core.critical import critical_path
    from provctl.ui.lines import duration
    from provctl.ui.picture import picture

    # Where nothing is known of any task, each counts the same.
    unknown = 0.0 if took_s else 1.0
    path, _ = critical_path(tasks, lambda task: took_s.get(task.id, unknown))
    notes = {name: duration(s) for name, s in took_s.items() if s > 0}
    return picture(title, tasks, seen, path, notes)
