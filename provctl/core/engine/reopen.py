"""Reopens tasks: a retry by command, as part of applying its event."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Container,
    Dict,
    Iterable,
    Iterator,
    List,
    Sequence,
    Set,
)

from provctl.core.engine.finalizers import (
    levels_of,
    reopen_levels,
    restart_levels,
    to_reopen,
)
from provctl.core.engine.propagate import (
    mark_failed,
    recheck_dependencies,
    requeue,
    set_status,
)
from provctl.core.engine.run_queue import dequeue, drop_timer
from provctl.core.model.expressions import references
from provctl.core.model.status import FAILURES, outcome_phrase
from provctl.core.model.workflow import Command, NushellCall, Script, SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine import events as ev
    from provctl.core.engine.state import RunState, State, TaskState
    from provctl.core.model.workflow import Task


def reopen_tasks(state: State, run: RunState, event: ev.RetryRequested) -> None:
    """Make the tasks of a retry wait again, as if they had never run."""
    rule = event.rule
    chosen = to_retry(run, event.tasks, downstream_too=event.downstream, rule=rule)
    tasks = [run.tasks[t] for t in chosen if run.tasks[t].status == "finished"]
    if tasks:
        _reopen(state, run, tasks, event.at)
    if rule > 1:
        for task in [run.tasks[t] for t in chosen if run.tasks[t].status == "retrying"]:
            end_wait(state, run, task)


def end_wait(state: State, run: RunState, task: TaskState) -> None:
    """The delay of a task before its next attempt is over."""
    drop_timer(state, run.submitted.run, task.task.id)
    requeue(state, run, task)


def _reopen(state: State, run: RunState, tasks: List[TaskState], at: float) -> None:
    if run.outcome is not None:
        reopen_run(state, run)
    levels = levels_of(tasks)
    reopen_levels(state, run, levels, at)
    run.halted = ""
    run.rollback_due = False
    opened = {task.task.id: None for task in tasks}
    for task in tasks:
        reset_task(run, task)
        _block_dependents(state, run, task, opened)
    _count_children(run, tasks)
    _recount_failures(run)
    for task in tasks:
        recheck_dependencies(state, run, task)
    restart_levels(state, run, levels, opened)


def reopen_run(state: State, run: RunState) -> None:
    """Reopen a finished run; why it finished is forgotten."""
    run.outcome = None
    run.finished_at = None
    run.started_at = None
    run.stop_level = run.finalizer_stop_level = run.cancels = 0
    run.finalizing = False
    run.body_outcome = None
    run.cancel_cause = run.cancel_reason = ""
    run.rolling_back = False
    state.ending.pop(run.submitted.run, None)
    for task in run.tasks.values():
        task.stop_level = 0


def reset_task(run: RunState, task: TaskState) -> None:
    """Reset a finished task to its state before the first attempt."""
    run.open_tasks += 1
    run.open_finalizers += task.task.finalizer and task.task.parent is None
    run.failed.pop(task.task.id, None)
    task.purpose = "run"
    task.discarded = task.attempt
    task.outcome = task.output = task.latest = None
    task.started_at = task.finished_at = None
    task.outcome_before_undo = task.unconfirmed = ""
    task.skip_reason = task.fail_reason = task.reason = ""
    task.stop_level = 0
    set_status(run, task, "waiting")


def _block_dependents(
    state: State, run: RunState, task: TaskState, opened: Dict[str, None]
) -> None:
    """The dependency of its dependents is no longer met: they wait again."""
    for dependent_id, _ in run.dependents.get(task.task.id, ()):
        dependent = run.tasks[dependent_id]
        if dependent_id in opened:
            continue  # `recheck_dependencies` counts its dependencies again
        if dependent.status == "ready" and dependent.purpose == "run":
            set_status(run, dependent, "waiting")
            dequeue(state, run, dependent)
            dependent.unmet = 0
        if dependent.status == "waiting":
            dependent.unmet += 1


def _count_children(run: RunState, tasks: Iterable[TaskState]) -> None:
    """Count the unfinished children of each reopened group and of groups around."""
    ids = {t.task.parent for t in tasks if t.task.parent is not None}
    ids |= {t.task.id for t in tasks if isinstance(t.task.action, SubWorkflow)}
    for group_id in ids:
        children = run.children.get(group_id, ())
        open_ones = (run.tasks[child].status != "finished" for child in children)
        known = run.tasks[group_id].as_group()
        known.open_children = sum(open_ones)
        finalizers = run.finalizers.get(group_id, ())
        left = (run.tasks[name].status != "finished" for name in finalizers)
        known.open_finalizers = sum(left)


def _recount_failures(run: RunState) -> None:
    """Count only failures that remain."""
    run.worst_failure = ""
    run.finalizer_failed = False
    for task in run.tasks.values():
        if task.group is not None:
            task.group.worst_failure = ""
            task.group.finalizer_failed = False
    for task_id in run.failed:
        task = run.tasks[task_id]
        if task.outcome in FAILURES and task.status == "finished":
            mark_failed(run, task, task.outcome)


RULE = 2  # the current rule for retries, see `core.engine.events.RetryRequested`


def to_retry(
    run: RunState, names: Sequence[str], *, downstream_too: bool, rule: int = RULE
) -> Dict[str, None]:
    """The tasks that a retry runs again, in file order.

    These are the `targets` and all tasks that depend on them. Groups around them are
    reopened. The finalizers of all that is reopened run again, too.
    """
    chosen = targets(run, names, downstream_too=downstream_too, rule=rule)
    if rule > 1:
        chosen.update(dict.fromkeys(stale_by(run, chosen)))
    for task_id in list(chosen):
        for around in _around(run, task_id):
            chosen[around] = None
    opened = [t for t in map(run.tasks.__getitem__, chosen) if t.status == "finished"]
    for name in to_reopen(run, opened):
        if run.tasks[name].status == "finished":
            chosen[name] = None
    return {task_id: None for task_id in run.tasks if task_id in chosen}


def targets(
    run: RunState, names: Sequence[str], *, downstream_too: bool, rule: int = RULE
) -> Dict[str, None]:
    """The tasks that a retry is asked for.

    Without `names` these are the finished tasks that did not succeed, including skipped
    ones, because the reason may no longer hold; and those that wait for their next
    attempt.
    """
    chosen = dict.fromkeys(inside(run, names)) if names else _unsuccessful(run, rule)
    if downstream_too:
        chosen.update(downstream(run, list(chosen)))
    return chosen


def stale_by(run: RunState, tasks: Container[str]) -> Dict[str, str]:
    """Tasks that ran because of the result of one of `tasks`, each with that task.

    After a task that did not succeed, or was undone, these are all its dependents.
    After one that succeeded, they are the users of its output and all their dependents.
    A skipped task has no result.
    """
    found: Dict[str, str] = {}
    pending = [
        (task_id, task_id)
        for task_id, task in run.tasks.items()
        if task_id in tasks and _made_something(task)
    ]
    seen = {task_id for task_id, _ in pending}
    while pending:
        task_id, first = pending.pop()
        for after in _dependents(run, task_id):
            if after in seen or not (after in tasks or _has_started(run.tasks[after])):
                continue
            if task_id == first and not _depends_on_result(run, task_id, after):
                continue
            seen.add(after)
            pending.append((after, first))
            if after not in tasks:
                found[after] = first
    return found


def why_stale(run: RunState) -> Dict[str, str]:
    """Why tasks are stale: undone, or dependent on a task that was undone.

    Empty if no task is undone, or if all undos are still pending.
    """
    undone = run.counts.get("undone", 0) + run.counts.get("undo_failed", 0)
    if not undone or (run.rolling_back and run.outcome is None):
        return {}
    why = {
        task_id: outcome_phrase(task.outcome)
        for task_id, task in run.tasks.items()
        if task.outcome_before_undo == "succeeded"
        and task.outcome in ("undone", "undo_failed")
    }
    rest = stale_by(run, why)
    for task_id, first in [*zip(why, why), *rest.items()]:
        for around in _around(run, task_id):
            rest.setdefault(around, first)
    for task_id, first in rest.items():
        if run.tasks[task_id].outcome == "succeeded":
            why[task_id] = (
                f"depends on {first}, which {outcome_phrase(run.tasks[first].outcome)}"
            )
    return why


def ran_on_failure(run: RunState, task_id: str) -> bool:
    """Whether a task, or a nested workflow around it, ran because another had failed.

    It depends on a failure or on any end, and the other task did not succeed.
    """
    return any(
        need.on != "success" and not _succeeded(run.tasks[need.task])
        for each in (task_id, *_around(run, task_id))
        for need in run.tasks[each].task.needs
    )


def _succeeded(task: TaskState) -> bool:
    return (task.outcome_before_undo or task.outcome) == "succeeded"


def _made_something(task: TaskState) -> bool:
    ended = task.status == "finished" and task.outcome != "skipped"
    return ended and not isinstance(task.task.action, SubWorkflow)


def _has_started(task: TaskState) -> bool:
    """Whether it runs or succeeded; for a nested workflow whether it has started."""
    if isinstance(task.task.action, SubWorkflow):
        return task.started_at is not None
    return task.outcome == "succeeded" or task.status in ("running", "held")


def _depends_on_result(run: RunState, task_id: str, after: str) -> bool:
    if run.tasks[task_id].outcome != "succeeded":
        return True
    used = _used_outputs(run.tasks[after].task)
    return bool(used) and any(i in used for i in (task_id, *_around(run, task_id)))


def _used_outputs(task: Task) -> Set[str]:
    """The tasks whose outputs a task uses, in its action, probe or condition."""
    values = [task.env, task.when]
    work = task.action
    if isinstance(work, Command):
        values += work.argv
    elif isinstance(work, Script):
        values.append(work.args)
    elif isinstance(work, NushellCall):
        values += [*work.args, work.flags]
    return {reference.task for reference in references(values)}


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
    if (task.outcome_before_undo or task.outcome) == "succeeded":
        return True
    return undo.on == "begun" and task.started_at is not None


def _unsuccessful(run: RunState, rule: int) -> Dict[str, None]:
    return {
        task_id: None
        for task_id, task in run.tasks.items()
        if (task.status == "finished" and task.outcome != "succeeded")
        or (task.status == "retrying" and rule > 1)
    }


def downstream(run: RunState, names: Iterable[str]) -> Dict[str, None]:
    """All direct and indirect dependents of the named tasks."""
    found: Dict[str, None] = {}
    pending = list(names)
    while pending:
        for after in _dependents(run, pending.pop()):
            if after not in found:
                found[after] = None
                pending.append(after)
    return found


def _dependents(run: RunState, task_id: str) -> Iterator[str]:
    yield from run.children.get(task_id, ())
    yield from (dependent for dependent, _ in run.dependents.get(task_id, ()))
    for around in _around(run, task_id):
        yield from (dependent for dependent, _ in run.dependents.get(around, ()))


def _around(run: RunState, task_id: str) -> Iterator[str]:
    """The nested workflows around a task, the innermost first."""
    parent = run.tasks[task_id].task.parent
    while parent is not None:
        yield parent
        parent = run.tasks[parent].task.parent


def inside(run: RunState, names: Iterable[str]) -> Iterator[str]:
    """The named tasks and all tasks inside them."""
    pending = list(names)
    while pending:
        task_id = pending.pop()
        yield task_id
        pending += run.children.get(task_id, ())
