"""Owns reading earlier runs of a workflow from their journals, for what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional

from provctl.app.follow import Follower
from provctl.app.roster import accounts
from provctl.core.model import Group
from provctl.core.pace import Past, TaskPast
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import StateFolder
    from provctl.journal.summary import RunSummary

__all__ = ["past_runs", "read_past", "tasks_of"]

_RUNS = 50  # what is older says little of today


def past_runs(
    folder: StateFolder,
    name: str,
    *,
    known: Optional[List[RunSummary]] = None,
    most: int = _RUNS,
) -> List[Past]:
    """Return the latest finished runs of the workflow `name`, oldest first.

    `known` are the accounts of all runs, if they were read already. Runs whose
    journal is damaged are left out.
    """
    every = accounts(folder) if known is None else known
    finished = [run for run in every if run.name == name and run.outcome is not None]
    found = (read_past(folder, run) for run in finished[-most:])
    return [past for past in found if past is not None]


def read_past(folder: StateFolder, summary: RunSummary) -> Optional[Past]:
    """Return an earlier run from its journal; None if it is damaged or not over."""
    follower = Follower(folder.run(summary.id))
    try:
        follower.read()
    except ProvctlError:
        return None
    run = follower.run
    if run.outcome is None or run.finished_at is None:
        return None
    return Past(
        run=summary.id,
        outcome=run.outcome,
        created_at=run.submitted.at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        tasks=tasks_of(run),
    )


def tasks_of(run: RunState) -> dict[str, TaskPast]:
    """Return how each task of a run went so far; nested workflows are left out."""
    return {
        name: TaskPast(task.did or task.outcome or "", _took(task), task.tries)
        for name, task in run.tasks.items()
        if not isinstance(task.task.action, Group)
    }


def _took(task: TaskState) -> Optional[float]:
    if task.started_at is None or task.finished_at is None:
        return None
    if task.did:
        return None  # the times are those of its undo
    return task.finished_at - task.started_at
