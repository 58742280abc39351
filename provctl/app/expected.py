"""Owns how long tasks take, or are expected to, and what of it decides the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, AbstractSet, Callable, Dict, List, Mapping, Sequence

from provctl.app.past import past_runs
from provctl.app.roster import accounts
from provctl.core.critical import critical_path
from provctl.core.pace import paces

if TYPE_CHECKING:
    from provctl.core.critical import Timing
    from provctl.core.model import Task, Workflow
    from provctl.core.pace import Pace
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import StateFolder
    from provctl.journal.summary import RunSummary

__all__ = [
    "Chart",
    "chart_of_run",
    "chart_of_workflow",
    "recent_paces",
    "usual_times",
]

_TASKS = 20_000  # of all runs that are read: a second for 10,000


@dataclass(frozen=True)
class Chart:
    """The critical path of a workflow, and the timing of every task, in seconds.

    `path` has it from first to last, `critical` the same tasks; `took_s` what is
    known of single ones.
    """

    path: Sequence[str]
    timings: Mapping[str, Timing]
    took_s: Mapping[str, float]
    critical: AbstractSet[str]


def recent_paces(folder: StateFolder, name: str) -> Dict[str, Pace]:
    """Return what the latest runs of a workflow say of its tasks, and "" of it all.

    Of large workflows these are few runs, for somebody waits for the answer.
    """
    finished = [
        run for run in accounts(folder) if run.name == name and run.outcome is not None
    ]
    tasks = 0
    recent: List[RunSummary] = []
    for run in reversed(finished):
        tasks += run.tasks
        if recent and tasks > _TASKS:
            break
        recent.append(run)
    return paces(past_runs(folder, name, known=recent[::-1]))


def usual_times(folder: StateFolder, name: str) -> Dict[str, float]:
    """Return what tasks of a workflow take by the median of earlier runs, in seconds."""
    known = recent_paces(folder, name)
    return {task: p.p50_s for task, p in known.items() if task and p.p50_s is not None}


def chart_of_workflow(workflow: Workflow, known: Mapping[str, float]) -> Chart:
    """Return the chart of a workflow whose tasks take what is `known`, in seconds.

    Where nothing is known of any task, each counts the same; else the others nothing.
    """
    tasks = {task.id for task in workflow.tasks}
    took_s = {task: s for task, s in known.items() if task in tasks}
    unknown = 0.0 if took_s else 1.0
    return _chart(workflow.tasks, took_s, lambda task: took_s.get(task.id, unknown))


def chart_of_run(run: RunState, now: float, known: Mapping[str, float] = {}) -> Chart:
    """Return the chart of a run by what its tasks took, or have taken until `now`.

    What is `known` of earlier runs counts for what has not ended: without it, by
    the time it has taken so far. `now` is in seconds since the epoch.
    """
    took_s = {
        name: _took(task, now, known.get(name, 0.0)) for name, task in run.tasks.items()
    }
    return _chart(run.workflow.tasks, took_s, lambda task: took_s[task.id])


def _took(task: TaskState, now: float, usual_s: float) -> float:
    if task.finished_at is not None or task.status == "finished":
        began = task.started_at
        return 0.0 if began is None else max((task.finished_at or now) - began, 0.0)
    spent = 0.0 if task.started_at is None else now - task.started_at
    return max(spent, usual_s)


def _chart(
    tasks: Sequence[Task],
    took_s: Mapping[str, float],
    seconds_of: Callable[[Task], float],
) -> Chart:
    path, timings = critical_path(tasks, seconds_of)
    return Chart(path, timings, took_s, frozenset(path))
