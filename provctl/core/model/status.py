"""The states of runs, tasks and attempts: every word that the engine compares.

They are types, so mypy finds a comparison with a word that is not among them. The
words are public: journals, `-o json` and the API use them.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, Literal, Optional, Union

TaskStatus = Literal["waiting", "ready", "running", "retrying", "held", "finished"]

RunStatus = Literal[
    "queued", "running", "paused", "cancelling", "held", "rolling_back", "finished"
]

# How a task finished. After a rollback also whether it was undone.
TaskOutcome = Literal[
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "lost",
    "interrupted",
    "skipped",
    "undone",
    "undo_failed",
]

# Empty if there is none.
MaybeOutcome = Union[TaskOutcome, Literal[""]]

RunOutcome = Literal[
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "lost",
    "rolled_back",
    "rollback_failed",
]

# What an attempt is for.
Purpose = Literal["run", "undo", "probe"]

# Why an attempt ended: by itself, by its time limit, or because it was stopped.
ExitCause = Literal["exit", "timeout", "stop"]

# Why a run is cancelled, and why a retry or rollback was asked for.
CancelCause = Literal["request", "timeout"]
RollbackCause = Literal["request", "failure", "cancel"]

# Which outcome of a dependency lets a task start.
DependencyOutcome = Literal["success", "failure", "done"]

# Whether an undo runs only after a success, or whenever its task may have started.
UndoCondition = Literal["success", "begun"]

# What a failed task does to its run.
OnFailure = Literal["fail", "continue", "rollback"]

# What follows a cancel, or the timeout of the run, that has ended its tasks.
CancelPolicy = Literal["stop", "rollback"]

# What happens to a task whose result is unknown.
OnInterrupt = Literal["hold", "rerun", "fail"]

# Outcomes that fail a run, unless the task says on_failure = "continue".
FAILURES: FrozenSet[TaskOutcome] = frozenset(
    {"failed", "timed_out", "lost", "interrupted"}
)

# Outcomes that need attention.
NEEDS_ATTENTION: FrozenSet[TaskOutcome] = FAILURES | {"undo_failed"}

_PHRASES: Dict[TaskOutcome, str] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "timed out",
    "lost": "was lost",
    "interrupted": "was interrupted",
    "cancelled": "was cancelled",
    "skipped": "was skipped",
    "undone": "was undone",
    "undo_failed": "could not be undone",
}


def outcome_phrase(outcome: Optional[TaskOutcome]) -> str:
    """Return how the outcome of a finished task reads: "x, which was skipped"."""
    assert outcome is not None, "the task has not finished"
    return _PHRASES[outcome]
