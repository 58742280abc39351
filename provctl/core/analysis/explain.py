"""Explains why a task is waiting, or why it finished as it did.

The state should contain all runs that share the owner's slots and pools; otherwise the
tasks ahead in the queue are unknown.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.outcomes import left_out, unmet_reason
from provctl.core.engine.reopen import why_stale
from provctl.core.engine.run_queue import RESERVED, SLOTS, is_queued, resource_key
from provctl.core.model.expressions import ValueMissing, references, resolve
from provctl.core.model.status import FAILURES, NEEDS_ATTENTION, outcome_phrase
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State, TaskState


_NAMED = 5  # names of holders or of tasks ahead
_LOOKED_THROUGH = 100_000  # tasks that are searched in a chain of dependencies

# The expected end of a running task in seconds since the epoch; None if unknown.
Estimate = Callable[["RunState", "TaskState"], Optional[float]]

# What other owners hold of a resource: the units of each (run, task).
Elsewhere = Mapping[str, Mapping[Tuple[str, str], int]]


@light_dataclass
class Reason:
    """One reason. `text` is the complete sentence.

    `kind` is need, group, paused, slots, pool, run_limit, behind, backoff, held,
    shortage, halted, running, unowned, cancelled, failed, root_cause, skipped,
    condition, result or stale; slack is for those who know what tasks take. `tasks` are
    the (run, task) pairs it is about, at most a few; `until` is its expected end, in
    seconds since the epoch.
    """

    kind: str
    text: str
    tasks: Tuple[Tuple[str, str], ...] = ()
    until: Optional[float] = None


def explain(
    state: State,
    run_id: str,
    task_id: str,
    estimate: Estimate,
    *,
    unattended: Mapping[str, str] = {},
    elsewhere: Optional[Elsewhere] = None,
) -> List[Reason]:
    """Return the reasons for the state of a task, the most important first.

    `unattended` is the state of running tasks of an orphaned run. Raises KeyError if
    there is no such run or task.
    """
    run = state.runs[run_id]
    task = run.tasks[task_id]
    if task.status == "finished":
        return list(_why_ended(run, task))
    if task_id in unattended:
        return [Reason("unowned", unattended[task_id])]
    if task.status == "running":
        return list(_why_running(run, task, estimate))
    if task.status == "held":
        text = f"held: {task.reason}; an operator must resolve it"
        return [Reason("held", text)]
    found = list(_standing_still(run, task))
    if task.status == "retrying":
        text = (
            f"attempt {task.counted_attempts} failed ({task.reason}); waiting before"
            " the next attempt"
        )
        return [*found, Reason("backoff", text, until=task.retry_at)]
    if task.status == "waiting":
        return [*found, *_unmet(run, task, estimate, unattended)]
    return [*found, *_no_room(state, run, task, estimate, elsewhere or {})]


def root_causes(run: RunState, task: TaskState) -> List[TaskState]:
    """Return the tasks whose failure caused the outcome of this one, maybe itself.

    In file order; skipped tasks and failed groups are traced to their causes.
    """
    found: Dict[str, TaskState] = {}
    pending = [task]
    seen = {task.task.id}
    while pending and len(seen) < _LOOKED_THROUGH:
        current = pending.pop()
        behind = list(_causes(run, current))
        if not behind and (current.outcome in FAILURES or current is not task):
            found[current.task.id] = current
        for other in behind:
            if other.task.id not in seen:
                seen.add(other.task.id)
                pending.append(other)
    return sorted(found.values(), key=lambda each: each.task.index)


def _causes(run: RunState, task: TaskState) -> Iterator[TaskState]:
    """The direct causes: tasks whose outcome skipped or failed this one."""
    if isinstance(task.task.action, SubWorkflow) and task.outcome in FAILURES:
        for child in run.children.get(task.task.id, ()):
            if run.tasks[child].outcome in FAILURES:
                yield run.tasks[child]
        return
    if task.outcome != "skipped":
        return
    for need in task.task.needs:
        needed = run.tasks[need.task]
        if needed.status == "finished" and unmet_reason(needed, need.on):
            yield needed
    parent = task.task.parent
    if parent is not None and run.tasks[parent].outcome == "skipped":
        yield run.tasks[parent]


# -- tasks that have not started ----------------------------------------------------


def _standing_still(run: RunState, task: TaskState) -> Iterator[Reason]:
    if run.paused:
        how = "paused and frozen" if run.frozen else "paused"
        yield Reason("paused", f"the run is {how}")
    if run.halted and task.purpose == "run" and not task.task.finalizer:
        yield Reason("halted", f"no further tasks start: {run.halted}")


def _unmet(
    run: RunState,
    task: TaskState,
    estimate: Estimate,
    unattended: Mapping[str, str],
) -> Iterator[Reason]:
    """The dependencies that are not met yet, and the group around the task."""
    if task.purpose == "undo":
        yield Reason("need", "the tasks that depend on it must be undone first")
        return
    parent = task.task.parent
    if parent is not None and run.tasks[parent].status == "waiting":
        text = f"the nested workflow {parent} has not started"
        yield Reason("group", text, _task_link(run, parent))
    elif task.task.finalizer and not run.can_start_finalizer(task):
        yield Reason("need", _all_others(run, task))
    for need in task.task.needs:
        needed = run.tasks[need.task]
        if needed.status == "finished" and not unmet_reason(needed, need.on):
            continue
        condition = {"success": "", "failure": " to fail", "done": " to finish"}[
            need.on
        ]
        known = unattended.get(need.task)
        where = f": {known}" if known else f" ({_status_words(needed)})"
        goes_on = needed.status == "running" and not known
        text = f"waiting for {need.task}{condition}{where}"
        until = estimate(run, needed) if goes_on else None
        yield Reason("need", text, _task_link(run, need.task), until)


def _all_others(run: RunState, finalizer: TaskState) -> str:
    """What a finalizer waits for before all else."""
    parent = finalizer.task.parent
    if parent is None:
        whose, left = "the run", run.open_tasks - run.open_finalizers
    else:
        known = run.tasks[parent].as_group()
        whose, left = parent, known.open_children - known.open_finalizers
    return f"waits for all tasks of {whose} to end ({left} have not)"


def _no_room(
    state: State,
    run: RunState,
    task: TaskState,
    estimate: Estimate,
    elsewhere: Elsewhere,
) -> Iterator[Reason]:
    """A ready task that has not started: full resources, and tasks ahead of it."""
    if (run.submitted.run, task.task.id) in elsewhere.get(RESERVED, ()):
        secrets = ", ".join(dict.fromkeys(task.task.secrets))
        text = f"its secrets are looked up ({secrets}); it holds its slot meanwhile"
        yield Reason("lookup", text)
        return
    short = task if task.shortage else _short_of_something(state)
    if short is not None:
        text = f"{short.shortage}; retried until it is available"
        whose = (
            ""
            if short is task
            else f"no task starts because {short.task.id} hit this shortage: "
        )
        yield Reason("shortage", whose + text)
    others = elsewhere.get(SLOTS, {})
    if state.running >= state.slots or others:
        slots = max(state.slots, state.running + len(others))
        every = f"all {slots} slots are" if slots > 1 else "the only slot is"
        text = f"{every} taken{_by_others(others)}"
        holders = [*_running(state), *others]
        yield _resource_reason("slots", text, holders, estimate, state)
    for resource, amount in resource_key(run, task.task):
        kind, _, name = resource.partition(":")
        others = elsewhere.get(resource, {})
        holders = [*_users(state, resource), *others]
        used = state.used.get(resource, 0) + sum(others.values())
        if kind == "run":
            limit = run.submitted.max_parallel or 0
            if used + amount > limit:
                most = f"{limit} tasks" if limit > 1 else "one task"
                text = f"max_parallel of the run is reached: {most} running"
                yield _resource_reason("run_limit", text, holders, estimate, state)
        elif name in state.capacity and used + amount > state.capacity[name]:
            text = (
                f"pool {name}: {used} of {state.capacity[name]} in use"
                f"{_by_others(others)}; this task needs {amount}"
            )
            yield _resource_reason("pool", text, holders, estimate, state)
    ahead = _ahead(state, run, task)
    if ahead:
        place = f"{len(ahead)} tasks are" if len(ahead) > 1 else "1 task is"
        yield Reason(
            "behind", f"{place} ahead of it in the queue", tuple(ahead[:_NAMED])
        )


def _short_of_something(state: State) -> Optional[TaskState]:
    """A ready task that hit a shortage; no other task starts until it is over."""
    for entries in state.queues.values():
        for entry in entries:
            task = state.runs[entry[1]].tasks[entry[2]]
            if task.shortage and is_queued(state, entry):
                return task
    return None


def _by_others(others: Mapping[Tuple[str, str], int]) -> str:
    count = sum(others.values())
    return f", {count} of them by other processes" if count else ""


def _resource_reason(
    kind: str,
    text: str,
    holders: List[Tuple[str, str]],
    estimate: Estimate,
    state: State,
) -> Reason:
    ends = [
        end
        for run_id, task_id in holders
        if run_id in state.runs and task_id in state.runs[run_id].tasks
        for end in [estimate(state.runs[run_id], state.runs[run_id].tasks[task_id])]
        if end is not None
    ]
    return Reason(kind, text, tuple(holders[:_NAMED]), min(ends, default=None))


def _running(state: State) -> Iterator[Tuple[str, str]]:
    for run_id, run in state.runs.items():
        for task_id in run.active:
            task = run.tasks[task_id]
            is_try = not isinstance(task.task.action, SubWorkflow)
            if task.status == "running" and is_try:
                yield run_id, task_id


def _users(state: State, resource: str) -> Iterator[Tuple[str, str]]:
    for run_id, task_id in _running(state):
        run = state.runs[run_id]
        if any(
            name == resource for name, _ in resource_key(run, run.tasks[task_id].task)
        ):
            yield run_id, task_id


def _ahead(state: State, run: RunState, task: TaskState) -> List[Tuple[str, str]]:
    """Ready tasks ahead in the queue that use the same resources or none."""
    key = (run.submitted.run, task.task.id)
    wanted = {resource for resource, _ in resource_key(run, task.task)}
    entries = [
        entry
        for queue, entries in state.queues.items()
        if not queue or not wanted or wanted & {resource for resource, _ in queue}
        for entry in entries
    ]
    own = [rank for rank, *who in entries if tuple(who) == key]
    if not own:
        return []
    before = sorted(entry for entry in entries if entry[0] < own[0])
    ready = [(entry[1], entry[2]) for entry in before if is_queued(state, entry)]
    return list(dict.fromkeys(ready))


# -- running and finished tasks -----------------------------------------------------


def _why_running(
    run: RunState, task: TaskState, estimate: Estimate
) -> Iterator[Reason]:
    if task.stop_level:
        yield Reason("cancelled", "it was asked to stop and is still running")
    if task.is_suspended:
        yield Reason("paused", "it is suspended: the run is frozen")
    if isinstance(task.task.action, SubWorkflow):
        inside = [run.tasks[child] for child in run.children.get(task.task.id, ())]
        going = [each for each in inside if each.status != "finished"]
        text = f"{len(going)} of its {len(inside)} tasks have not finished"
        names = tuple((run.submitted.run, each.task.id) for each in going[:_NAMED])
        yield Reason("running", text, names)
        return
    what = {
        "run": "it is running",
        "undo": "its undo is running",
        "probe": "its probe is running",
    }
    again = f", attempt {task.counted_attempts}" if task.counted_attempts > 1 else ""
    until = estimate(run, task)
    yield Reason("running", what[task.purpose] + again, until=until)


def _why_ended(run: RunState, task: TaskState) -> Iterator[Reason]:
    outcome = task.outcome
    why = f": {task.reason}" if task.reason else ""
    if outcome == "skipped":
        now = (
            "; this is no longer the case: a retry runs it"
            if left_out(run, task)
            else ""
        )
        yield Reason("skipped", f"it was skipped{why}{now}")
        yield from _condition(run, task)
    elif outcome in NEEDS_ATTENTION:
        yield Reason("failed", f"it {_outcome_words(task)}{why}")
    else:
        yield Reason("result", f"it {outcome_phrase(outcome)}{why}")
    stale = why_stale(run).get(task.task.id) if outcome == "succeeded" else None
    if stale:
        yield Reason("stale", f"it {stale}: a retry runs it again")
    for cause in root_causes(run, task):
        if cause is not task:
            reason = f": {cause.reason}" if cause.reason else ""
            text = f"{cause.task.id} {_outcome_words(cause)}{reason}"
            yield Reason("root_cause", text, _task_link(run, cause.task.id))


def _outcome_words(task: TaskState) -> str:
    went = outcome_phrase(task.outcome)
    never = task.outcome == "failed" and task.started_at is None
    return f"{went} before it started" if never else went


def _condition(run: RunState, task: TaskState) -> Iterator[Reason]:
    """The values that the condition of the task used."""
    for reference in dict.fromkeys(references(task.task.when)):
        body = {"task": reference.task, "path": reference.path}
        node = (
            {"$outcome": reference.task} if reference.is_outcome else {"$output": body}
        )
        try:
            value: Any = resolve(node, run.output_of, run.outcome_of)
        except ValueMissing as missing:
            text = str(missing)
        else:
            path = f".{reference.path}" if reference.path else ""
            what = "outcome of " if reference.is_outcome else ""
            text = f"{what}{reference.task}{path} is {_short(value)}"
        yield Reason("condition", text, _task_link(run, reference.task))


def _short(value: Any) -> str:
    import json

    text = json.dumps(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _status_words(task: TaskState) -> str:
    if task.status == "finished":
        return outcome_phrase(task.outcome).replace("was ", "")
    return {
        "retrying": "waiting for its next attempt",
        "ready": "ready, not started",
    }.get(task.status, task.status)


def _task_link(run: RunState, task_id: str) -> Tuple[Tuple[str, str], ...]:
    return ((run.submitted.run, task_id),)
