"""Outcomes of runs and nested workflows, and what a finalizer is told of them.

All of it is read from the state. Nothing here changes it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Mapping

from provctl.core.model.status import FAILURES, outcome_phrase
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from typing import Literal, Union

    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.status import (
        MaybeOutcome,
        RollbackCause,
        RunOutcome,
        TaskOutcome,
    )


FALSE_CONDITION = "its condition is false"  # why a task was skipped

# What a run is whose worst task finished so.
_OF_FAILED_RUN: Dict[TaskOutcome, RunOutcome] = {
    "failed": "failed",
    "timed_out": "timed_out",
    "lost": "lost",
    "interrupted": "lost",
}


def worst_outcome(one: MaybeOutcome, other: TaskOutcome) -> MaybeOutcome:
    """Return the outcome that says more of what went wrong."""
    order = ("", "interrupted", "lost", "timed_out", "failed")
    return max(one, other, key=order.index)


def unmet_reason(task: TaskState, on: str) -> str:
    """Return why a finished task does not meet a dependency; empty if it does."""
    outcome = task.outcome
    failed = outcome in FAILURES
    passed = outcome == "succeeded" or (failed and task.task.on_failure == "continue")
    if on == "done" or (passed if on == "success" else failed):
        return ""
    return f"needs {on} of {task.task.id}, which {outcome_phrase(outcome)}"


def left_out(run: RunState, task: TaskState) -> bool:
    """Whether a finished task did not run, and nothing of now says that it should not.

    A retry of other tasks alone leaves such behind: what it needs has succeeded since,
    or the cancel that ended it is forgotten. Finalizers have no part in how a run went.
    """
    parent = task.task.parent
    if task.task.finalizer:
        return False
    if parent is not None and run.tasks[parent].outcome != "succeeded":
        return False
    if task.outcome != "skipped" or task.reason == FALSE_CONDITION:
        return task.outcome == "cancelled"
    needed = ((run.tasks[need.task], need.on) for need in task.task.needs)
    return not any(each.outcome and unmet_reason(each, on) for each, on in needed)


def rollback_reason(run: RunState) -> Union[RollbackCause, Literal[""]]:
    """Return why the run is rolled back now that its tasks have ended; "" if not.

    The second cancel request of a run prevents that.
    """
    if run.rolling_back:
        return ""
    if run.stop_level:
        timeout = run.cancel_cause == "timeout"
        policy = run.workflow.on_timeout if timeout else run.workflow.on_cancel
        wanted = policy == "rollback" and run.cancels == 1 and run.has_begun
        return "cancel" if wanted else ""
    return "failure" if run.rollback_due else ""


def run_outcome(run: RunState) -> RunOutcome:
    """Return the outcome that the run has if it ends now."""
    found = _outcome_without_finalizers(run)
    return "failed" if found == "succeeded" and run.finalizer_failed else found


def _outcome_without_finalizers(run: RunState) -> RunOutcome:
    if run.rolling_back:
        whole = not run.cancel_cause and not run.counts.get("undo_failed")
        return "rolled_back" if whole else "rollback_failed"
    if run.cancel_cause:
        return "timed_out" if run.cancel_cause == "timeout" else "cancelled"
    if run.worst_failure:
        return _OF_FAILED_RUN[run.worst_failure]
    # What was undone, and did not run again, is no success of the whole.
    if run.counts.get("undo_failed"):
        return "rollback_failed"
    if run.counts.get("undone"):
        return "rolled_back"
    return run.body_outcome or body_outcome(run)


def body_outcome(run: RunState) -> RunOutcome:
    """Return what tasks make of a run that failed nowhere; looks through all of them.

    A retry of other tasks alone has left some out.
    """
    if run.counts.get("skipped") or run.counts.get("cancelled"):
        left = {task.outcome for task in run.tasks.values() if left_out(run, task)}
        if left:
            return "cancelled" if "cancelled" in left else "failed"
    return "succeeded"


def group_outcome(run: RunState, group: TaskState) -> TaskOutcome:
    """Return the outcome that a nested workflow has if it ends now."""
    if run.stop_level:
        return "cancelled"
    known = group.as_group()
    if known.worst_failure or group.stop_level:
        return known.worst_failure or "cancelled"
    return "failed" if known.finalizer_failed else "succeeded"


# -- what a finalizer is told -------------------------------------------------------

_FAILED_MAX = 100  # tasks that it is told of
_FAILED_LENGTH_MAX = 32 * 1024  # characters of their ids: a variable is bounded


def level_outcome(run: RunState, finalizer: TaskState) -> str:
    """Return the outcome that the run, or the nested workflow around, would have now."""
    parent = finalizer.task.parent
    if parent is None:
        return run_outcome(run)
    outcome = group_outcome(run, run.tasks[parent])
    return "lost" if outcome == "interrupted" else outcome


def failed_tasks(run: RunState, finalizer: TaskState) -> List[str]:
    """Return ids of tasks to look into, of the level of a finalizer and below it.

    Without nested workflows, which fail because of others; the first hundred.
    """
    parent = finalizer.task.parent
    prefix = "" if parent is None else f"{parent}/"
    found: List[str] = []
    length = 0
    for task_id in run.failed:
        task = run.tasks[task_id].task
        if isinstance(task.action, SubWorkflow) or not task_id.startswith(prefix):
            continue
        length += len(task_id)
        if len(found) == _FAILED_MAX or length > _FAILED_LENGTH_MAX:
            break
        found.append(task_id)
    return found


def run_value(run: RunState, finalizer: TaskState, name: str) -> Any:
    """Return what `{"$run": name}` stands for in a finalizer."""
    if name == "outcome":
        return level_outcome(run, finalizer)
    return failed_tasks(run, finalizer)


def finalizer_env(run: RunState, finalizer: TaskState) -> Mapping[str, str]:
    """Return the environment variables that tell a finalizer what happened."""
    return {
        "PROVCTL_RUN_OUTCOME": level_outcome(run, finalizer),
        "PROVCTL_FAILED_TASKS": json.dumps(failed_tasks(run, finalizer)),
    }
