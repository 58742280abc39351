"""Builds the graph of a run's tasks with notes, durations, and the critical path."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Mapping, Sequence

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState
    from provctl.core.engine.view import TaskView
    from provctl.core.model.workflow import Task
    from provctl.render.graph.layout import GraphLayout
    from provctl.runs.follow import Follower
    from provctl.runs.history.estimates import CriticalPathReport

_SLACK_S = 0.1  # smaller values count as none


def now_of(follower: Follower) -> float:
    """Return the time up to which a run is known: its end, now, or its last record."""
    run = follower.run
    if run.finished_at is None and follower.was_owned:
        return time.time()  # noqa: TID251  # for people only
    return run.finished_at or run.last_at


def picture_of_run(
    run: RunState, now: float, unattended: Mapping[str, str] = {}
) -> GraphLayout:
    """Return the graph of a run; `now`, in seconds since the epoch, ends active tasks.

    `unattended` are the running tasks of an orphaned run.
    """
    from provctl.core.engine.reopen import why_stale
    from provctl.core.engine.view import task_view
    from provctl.runs.history.estimates import critical_path_of_run

    seen = {name: task_view(task) for name, task in run.tasks.items()}
    notes = {
        name: "stale" for name in why_stale(run) if seen[name].outcome == "succeeded"
    }
    notes.update(dict.fromkeys(unattended, "orphaned"))
    title = f"{run.submitted.name} {run.submitted.run}: {run.outcome or run.status}"
    chart = critical_path_of_run(run, now)
    # The slack of a run that may still change is unknown.
    has_ended = run.outcome is not None
    return task_graph(
        title, run.workflow.tasks, seen, chart, slack=has_ended, said=notes
    )


def task_graph(
    title: str,
    tasks: Sequence[Task],
    seen: Mapping[str, TaskView],
    chart: CriticalPathReport,
    *,
    slack: bool,
    said: Mapping[str, str] = {},
) -> GraphLayout:
    """Return the graph of tasks, with their durations and their slack as notes."""
    from provctl.render.graph.layout import graph_layout
    from provctl.render.text import duration

    notes = {name: duration(s) for name, s in chart.took_s.items() if s > 0}
    for name in notes if slack else ():
        spare = chart.timings[name].slack_s
        notes[name] += f", {duration(spare)} slack" if spare >= _SLACK_S else ""
    return graph_layout(title, tasks, seen, chart.path, {**notes, **said})
