"""Owns which tasks a wish means: those named, what is inside them, what comes after.

Shared by retries and rollbacks, and by the plans of both that people are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterable, Iterator, Sequence

if TYPE_CHECKING:
    from provctl.core.state import RunState, TaskState

__all__ = ["downstream", "inside", "to_retry", "to_undo"]


def to_retry(
    run: RunState, names: Sequence[str], *, downstream_too: bool
) -> Dict[str, None]:
    """The tasks that a retry runs again, in file order.

    Without `names` those that ended and did not succeed, skipped ones among them:
    why they were skipped may no longer hold. A nested workflow around one of them
    is opened again.
    """
    chosen = dict.fromkeys(inside(run, names)) if names else _unsuccessful(run)
    if downstream_too:
        chosen.update(downstream(run, list(chosen)))
    for task_id in list(chosen):
        for around in _around(run, task_id):
            chosen[around] = None
    return {task_id: None for task_id in run.tasks if task_id in chosen}


def to_undo(run: RunState, to: str) -> Dict[str, None]:
    """The tasks that a rollback undoes, in file order; with `to` those after it."""
    if not to:
        return {t: None for t, task in run.tasks.items() if _can_be_undone(task)}
    kept = set(inside(run, [to]))
    after = downstream(run, [to])
    return {
        task_id: None
        for task_id, task in run.tasks.items()
        if task_id in after and task_id not in kept and _can_be_undone(task)
    }


def _can_be_undone(task: TaskState) -> bool:
    undo = task.task.undo
    if undo is None or task.outcome == "undone":
        return False
    if (task.did or task.outcome) == "succeeded":
        return True
    return undo.on == "begun" and task.started_at is not None


def _unsuccessful(run: RunState) -> Dict[str, None]:
    return {
        task_id: None
        for task_id, task in run.tasks.items()
        if task.status == "finished" and task.outcome != "succeeded"
    }


def downstream(run: RunState, names: Iterable[str]) -> Dict[str, None]:
    """Everything that comes after the tasks named, directly or not."""
    found: Dict[str, None] = {}
    pending = list(names)
    while pending:
        for after in _after(run, pending.pop()):
            if after not in found:
                found[after] = None
                pending.append(after)
    return found


def _after(run: RunState, task_id: str) -> Iterator[str]:
    yield from run.children.get(task_id, ())
    yield from (dependent for dependent, _ in run.dependents.get(task_id, ()))
    for around in _around(run, task_id):
        yield from (dependent for dependent, _ in run.dependents.get(around, ()))


def _around(run: RunState, task_id: str) -> Iterator[str]:
    """The nested workflows that a task is inside of, from the nearest outwards."""
    parent = run.tasks[task_id].task.parent
    while parent is not None:
        yield parent
        parent = run.tasks[parent].task.parent


def inside(run: RunState, names: Iterable[str]) -> Iterator[str]:
    """The tasks named, and all that is inside them."""
    pending = list(names)
    while pending:
        task_id = pending.pop()
        yield task_id
        pending += run.children.get(task_id, ())
