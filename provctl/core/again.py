"""Owns opening tasks again: a retry by hand, as part of applying its event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterable, List

from provctl.core.failure import taint
from provctl.core.lanes import drop_timer, leave_lane
from provctl.core.model import Group
from provctl.core.selection import to_retry
from provctl.core.spread import look_again, move, stand_again
from provctl.core.state import FAILURES

if TYPE_CHECKING:
    from provctl.core import events as ev
    from provctl.core.state import RunState, State, TaskState

__all__ = ["end_wait", "forget", "open_again", "reopen_run"]


def open_again(state: State, run: RunState, event: ev.RetryRequested) -> None:
    """Let the tasks of a retry wait again, as if they had never run."""
    rule = event.rule
    chosen = to_retry(run, event.tasks, downstream_too=event.downstream, rule=rule)
    tasks = [run.tasks[t] for t in chosen if run.tasks[t].status == "finished"]
    if tasks:
        _open(state, run, tasks)
    if rule > 1:
        for task in [run.tasks[t] for t in chosen if run.tasks[t].status == "retrying"]:
            end_wait(state, run, task)


def end_wait(state: State, run: RunState, task: TaskState) -> None:
    """The wait of a task for its next attempt is over."""
    drop_timer(state, run.submitted.run, task.task.id)
    stand_again(state, run, task)


def _open(state: State, run: RunState, tasks: List[TaskState]) -> None:
    if run.outcome is not None:
        reopen_run(state, run)
    run.halted = ""
    run.rollback_due = False
    opened = {task.task.id: None for task in tasks}
    for task in tasks:
        forget(run, task)
        run.open_tasks += 1
        _have_dependents_wait(state, run, task, opened)
    _count_children(run, tasks)
    _taint_again(run)
    for task in tasks:
        look_again(state, run, task)


def reopen_run(state: State, run: RunState) -> None:
    """A finished run is under way again; what ended it is forgotten."""
    run.outcome = None
    run.finished_at = None
    run.started_at = None
    run.stop_level = 0
    run.cancel_cause = run.cancel_reason = ""
    run.rolling_back = False
    state.ending.pop(run.submitted.run, None)
    for task in run.tasks.values():
        task.stop_level = 0


def forget(run: RunState, task: TaskState) -> None:
    """Bring a finished task back to where it was before its first try."""
    run.failed.pop(task.task.id, None)
    task.purpose = "run"
    task.voided = task.attempt
    for name in ("outcome", "output", "exit_code", "signal"):
        setattr(task, name, None)
    task.started_at = task.finished_at = None
    task.did = task.unknown = task.doom = task.broken = task.reason = ""
    task.stop_level = 0
    move(run, task, "waiting")


def _have_dependents_wait(
    state: State, run: RunState, task: TaskState, opened: Dict[str, None]
) -> None:
    """What waits for other needs as well had this one met, and has it no more."""
    for dependent_id, _ in run.dependents.get(task.task.id, ()):
        dependent = run.tasks[dependent_id]
        if dependent_id in opened:
            continue  # `look_again` counts its needs anew
        if dependent.status == "ready" and dependent.purpose == "run":
            move(run, dependent, "waiting")
            leave_lane(state, run, dependent)
            dependent.unmet = 0
        if dependent.status == "waiting":
            dependent.unmet += 1


def _count_children(run: RunState, tasks: Iterable[TaskState]) -> None:
    """Count what each group waits for that is open again, or around one that is."""
    ids = {t.task.parent for t in tasks if t.task.parent is not None}
    ids |= {t.task.id for t in tasks if isinstance(t.task.action, Group)}
    for group_id in ids:
        children = run.children.get(group_id, ())
        open_ones = (run.tasks[child].status != "finished" for child in children)
        run.tasks[group_id].open_children = sum(open_ones)


def _taint_again(run: RunState) -> None:
    """What failed and stays so still counts; nothing else does."""
    run.spoiled = ""
    for task in run.tasks.values():
        task.spoiled = ""
    for task_id in run.failed:
        task = run.tasks[task_id]
        if task.outcome in FAILURES and task.status == "finished":
            taint(run, task, task.outcome or "")
