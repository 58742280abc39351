"""Reads earlier runs of a workflow from their journals."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional

from provctl.core.analysis.statistics import PastRun, PastTask
from provctl.core.model.workflow import SubWorkflow
from provctl.errors import ProvctlError
from provctl.runs.follow import Follower
from provctl.runs.summary_cache import accounts

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.storage.layout import StateDir
    from provctl.storage.run_summary import RunSummary


_RUNS = 50  # older runs are less representative


def past_runs(
    folder: StateDir,
    name: str,
    *,
    known: Optional[List[RunSummary]] = None,
    most: int = _RUNS,
) -> List[PastRun]:
    """Return the latest finished runs of the workflow `name`, oldest first.

    `known` are the summaries of all runs, if they were already read. Runs whose journal
    is damaged are left out.
    """
    every = accounts(folder) if known is None else known
    finished = [run for run in every if run.name == name and run.outcome is not None]
    found = (read_past(folder, run) for run in finished[-most:])
    return [past for past in found if past is not None]


def read_past(folder: StateDir, summary: RunSummary) -> Optional[PastRun]:
    """Return an earlier run from its journal; None if it is damaged or unfinished."""
    follower = Follower(folder.run(summary.id))
    try:
        follower.read_state()
    except ProvctlError:
        return None
    run = follower.run
    if run.outcome is None or run.finished_at is None:
        return None
    return PastRun(
        run=summary.id,
        outcome=run.outcome,
        created_at=run.submitted.at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        tasks=tasks_of(run),
    )


def tasks_of(run: RunState) -> dict[str, PastTask]:
    """Return the result of each task of a run so far, without nested workflows."""
    return {
        name: PastTask(
            task.outcome_before_undo or task.outcome or "",
            _took(task),
            task.counted_attempts,
        )
        for name, task in run.tasks.items()
        if not isinstance(task.task.action, SubWorkflow)
    }


def _took(task: TaskState) -> Optional[float]:
    if task.started_at is None or task.finished_at is None:
        return None
    if task.outcome_before_undo:
        return None  # the times are those of its undo
    return task.finished_at - task.started_at
