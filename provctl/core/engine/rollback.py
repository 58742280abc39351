"""Rollback: undoes the tasks of a run in reverse order of their dependencies.

A task is undone when everything that depends on it is. A nested workflow is two nodes
here too (see `core.model.graph`): its dependents open its end, then its tasks are
undone, then its own dependencies. Tasks without an undo are passed at once. During a
rollback `unmet` counts the dependents of a task, and `open_children` the tasks of a
group that are not undone. Statuses and attempts are used as in a normal run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, List, Tuple

from provctl.core.engine.propagate import enqueue_task, set_outcome, set_status
from provctl.core.engine.reopen import reopen_run, reset_task, to_undo
from provctl.core.engine.run_queue import drop_timer
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine import events as ev
    from provctl.core.engine.state import RunState, State, TaskState
    from provctl.core.model.status import TaskOutcome


def roll_back(state: State, run: RunState, event: ev.RollbackRequested) -> None:
    """Start the rollback; tasks without dependents are queued at once."""
    chosen = to_undo(run, event.to)
    by_hand = event.cause == "request"
    started_at = event.at if by_hand else run.started_at
    cancels = 0 if by_hand else run.cancels
    reopen_run(state, run)
    run.cancels = cancels
    drop_timer(state, event.run, "")
    run.rollback_due = False
    run.rolling_back = True
    run.started_at = started_at
    for task_id, task in run.tasks.items():
        task.unmet = len(run.dependents.get(task_id, ()))
        task.unmet += task.task.parent is not None
        if task.group is not None:
            task.group.open_children = len(run.children.get(task_id, ()))
        task.skip_reason = ""
    finalizers = run.finalizers.get(None, ())
    for name in finalizers:
        _have_finalizer_wait(run, run.tasks[name])
    run.finalizer_failed = False
    for task_id in chosen:
        _prepare(run, run.tasks[task_id])
    last = [(task, True) for task in run.tasks.values() if task.unmet == 0]
    _walk(state, run, last)
    run.ended_levels[""] = None
    if run.open_tasks == 0:
        state.ending[event.run] = None


def _have_finalizer_wait(run: RunState, task: TaskState) -> None:
    """The finalizers of the run come after the rollback, once more if they have ended."""
    if task.status == "finished":
        reset_task(run, task)
    task.unmet = len(task.task.needs) + 1


def _prepare(run: RunState, task: TaskState) -> None:
    run.failed.pop(task.task.id, None)
    run.open_tasks += 1
    task.purpose = "undo"
    task.outcome_before_undo = task.outcome_before_undo or task.outcome or ""
    task.outcome = None
    task.discarded = task.attempt
    task.reason = ""
    set_status(run, task, "waiting")


def undo_ended(
    state: State, run: RunState, task: TaskState, outcome: TaskOutcome, at: float
) -> None:
    """An undo has finished with `outcome`: undone or undo_failed."""
    set_outcome(state, run, task, outcome, at)
    if outcome == "undone":
        _walk(state, run, [(task, False)])
    else:
        _block(state, run, task, at)


def keep_as_is(
    state: State, run: RunState, task: TaskState, why: str, at: float
) -> None:
    """A task is not undone: it keeps its earlier outcome."""
    before = task.outcome_before_undo
    assert before, "it has an outcome to go back to"
    set_outcome(state, run, task, before, task.finished_at or at)
    if task.attempt and task.counted_attempts == 0:
        task.discarded = task.attempt - 1  # the task ran, its undo did not
    task.reason = why


def _walk(state: State, run: RunState, work: List[Tuple[TaskState, bool]]) -> None:
    """Continue from tasks that are reached (True) or passed (False)."""
    while work:
        task, is_reached = work.pop()
        if not is_reached:
            work += _reached_from(run, task)
        elif isinstance(task.task.action, SubWorkflow):
            children = run.children.get(task.task.id, ())
            work += [(child, True) for child in _count_down(run, children)]
            if not children:
                work.append((task, False))
        elif task.status == "waiting":
            enqueue_task(state, run, task)
        else:
            work.append((task, False))


def _reached_from(run: RunState, task: TaskState) -> Iterator[Tuple[TaskState, bool]]:
    """The dependencies of a task that is undone, or has no undo."""
    needed = [need.task for need in task.task.needs]
    for before in _count_down(run, needed):
        yield before, True
    if task.task.parent is not None:
        group = run.tasks[task.task.parent]
        group.as_group().open_children -= 1
        if group.as_group().open_children == 0:
            yield group, False


def _count_down(run: RunState, ids: Iterable[str]) -> List[TaskState]:
    """Count down the dependents of these; return those that have none left."""
    tasks = [run.tasks[task_id] for task_id in ids]
    for task in tasks:
        task.unmet -= 1
    return [task for task in tasks if task.unmet == 0]


def _block(state: State, run: RunState, task: TaskState, at: float) -> None:
    """Dependencies of a task that could not be undone are not undone either."""
    why = f"the undo of {task.task.id} failed"
    work = [task]
    while work:
        current = work.pop()
        before = [need.task for need in current.task.needs]
        before += [current.task.parent] if current.task.parent is not None else []
        for task_id in before:
            blocked = run.tasks[task_id]
            if blocked.skip_reason:
                continue
            blocked.skip_reason = why
            work.append(blocked)
            if blocked.status == "waiting":
                keep_as_is(state, run, blocked, why, at)
