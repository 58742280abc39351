"""The decisions: what to do next, read from the state. They change nothing.

The scheduler calls `decide` repeatedly until nothing comes back. Each instruction
carries the event to be journaled and applied before its effect.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Set,
    Union,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine import events as ev
from provctl.core.engine.outcomes import (
    finalizer_env,
    group_outcome,
    rollback_reason,
    run_outcome,
    run_value,
)
from provctl.core.engine.run_queue import (
    RESERVATIONS_MAX,
    SLOTS,
    Reservations,
    head,
)
from provctl.core.model.expressions import (
    ValueMissing,
    no_run_values,
    resolve,
)
from provctl.core.model.workflow import (
    Command,
    Executable,
    NushellCall,
    Script,
    SubWorkflow,
)

if TYPE_CHECKING:
    from provctl.core.engine.state import (
        QueueEntry,
        ResourceKey,
        RunState,
        State,
        TaskState,
    )
    from provctl.core.model.expressions import RunValues


@light_dataclass
class JournalOnly:
    """An event to journal, without an effect."""

    event: ev.Event


@light_dataclass
class LaunchAttempt:
    """Start an attempt. `action` and `env` have every expression resolved."""

    event: ev.AttemptStarted
    action: Executable
    env: Mapping[str, Any]


@light_dataclass
class StopAttempt:
    """Stop a running attempt; at once if `event.now`."""

    event: ev.AttemptStopping


@light_dataclass
class SuspendAttempt:
    """Suspend the processes of a running attempt."""

    event: ev.AttemptSuspended


@light_dataclass
class ResumeAttempt:
    """Resume them."""

    event: ev.AttemptResumed


Instruction = Union[
    JournalOnly, LaunchAttempt, StopAttempt, SuspendAttempt, ResumeAttempt
]


NOTHING_RESERVED = Reservations()


def decide(
    state: State,
    now: float,
    lacking: AbstractSet[str] = frozenset(),
    reserved: Reservations = NOTHING_RESERVED,
) -> List[Instruction]:
    """Return what to do next; an empty list means wait for a report or a deadline.

    First come derived events, then delays that are over, then runs that have finished,
    and only then the next start. `lacking` are the resources of which other owners
    leave too little for that start. `reserved` are tasks that count as running:
    `start` starts them when they are prepared.
    """
    if state.due:
        return [_due(state, run, task, now) for run, task in state.due]
    if state.timers and state.timers[0][0] <= now:
        _, run_id, task_id = state.timers[0]
        return [JournalOnly(_timer(state.runs[run_id], task_id, now))]
    if state.ending:
        return [JournalOnly(_end(state.runs[run], now)) for run in state.ending]
    entry = _first_in_line(state, lacking, reserved)
    return [] if entry is None else [start(state, entry[1], entry[2], now)]


def next_deadline(state: State) -> Optional[float]:
    """Return when `decide` must be called again at the latest, None for never."""
    return state.timers[0][0] if state.timers else None


def blocking_resource(state: State) -> Optional[str]:
    """Return what keeps ready tasks from starting when `decide` returns nothing.

    "slots", a resource as in `state.used`, or None if no task is ready.
    """
    if not state.queues:
        return None
    if _best_lane(state) is not None:
        return SLOTS
    first = min(state.queues, key=lambda key: state.queues[key][0])
    return _lacking(state, first, NOTHING_RESERVED)


def _due(state: State, run_id: str, task_id: str, now: float) -> Instruction:
    run = state.runs[run_id]
    task = run.tasks[task_id]
    if task.status == "running":
        if isinstance(task.task.action, SubWorkflow):
            outcome = group_outcome(run, task)
            return JournalOnly(ev.GroupFinished(run_id, now, task_id, outcome))
        if not run.is_stopping(task):
            return _suspend_or_resume(run, task, now)
        cause = run.cancel_cause or "timeout"  # of a group around it
        at_once = run.stop_level_of(task) >= 2
        stopping = ev.AttemptStopping(
            run_id, now, task_id, task.attempt, cause, now=at_once
        )
        return StopAttempt(stopping)
    if task.fail_reason:
        return JournalOnly(ev.TaskFailed(run_id, now, task_id, task.fail_reason))
    if task.skip_reason:
        return JournalOnly(ev.TaskSkipped(run_id, now, task_id, task.skip_reason))
    return JournalOnly(ev.GroupStarted(run_id, now, task_id))


def _suspend_or_resume(run: RunState, task: TaskState, now: float) -> Instruction:
    key = (run.submitted.run, now, task.task.id, task.attempt)
    if run.frozen:
        return SuspendAttempt(ev.AttemptSuspended(*key))
    return ResumeAttempt(ev.AttemptResumed(*key))


def _end(run: RunState, now: float) -> ev.Event:
    """All tasks have finished, so the run has, unless it must be rolled back."""
    run_id = run.submitted.run
    cause = rollback_reason(run)
    if cause:
        ended = "timed out" if run.cancel_cause == "timeout" else "was cancelled"
        reason = f"the run {ended}" if cause == "cancel" else run.halted
        return ev.RollbackRequested(run_id, now, cause, reason=reason)
    return ev.RunFinished(run_id, now, run_outcome(run))


def _timer(run: RunState, task_id: str, now: float) -> ev.Event:
    run_id = run.submitted.run
    if not task_id:
        reason = "the run's timeout"
        return ev.CancelRequested(run_id, now, cause="timeout", reason=reason)
    if isinstance(run.tasks[task_id].task.action, SubWorkflow):
        return ev.GroupTimedOut(run_id, now, task_id)
    return ev.RetryDue(run_id, now, task_id)


# -- the next start ----------------------------------------------------------------


def start(state: State, run_id: str, task_id: str, now: float) -> Instruction:
    """Start the next attempt of a ready task, or fail the task if a value is missing."""
    run = state.runs[run_id]
    task = run.tasks[task_id]
    finalizes = task.task.finalizer
    values = partial(run_value, run, task) if finalizes else no_run_values
    try:
        action = _resolve_action(_work_of(task), run, values)
        env = resolve(task.task.env, run.output_of, run.outcome_of, values)
    except ValueMissing as missing:
        return JournalOnly(ev.TaskFailed(run_id, now, task_id, str(missing)))
    if finalizes:
        env = {**env, **finalizer_env(run, task)}
    number = task.attempt + 1
    started = ev.AttemptStarted(run_id, now, task_id, number, task.purpose)
    return LaunchAttempt(started, action, env)


def _first_in_line(
    state: State, lacking: AbstractSet[str], reserved: Reservations
) -> Optional[QueueEntry]:
    if state.running + len(reserved) >= state.slots or SLOTS in lacking:
        return None
    if len(reserved) >= RESERVATIONS_MAX:
        return None
    lane = _best_lane(state, lacking, reserved)
    return None if lane is None else head(state, state.queues[lane], reserved)


def _best_lane(
    state: State,
    lacking: AbstractSet[str] = frozenset(),
    reserved: Reservations = NOTHING_RESERVED,
) -> Optional[ResourceKey]:
    """Return the queue whose head comes first among those that fit.

    A head that does not fit reserves what it waits for: no later task may take the same
    resource, or a task that needs much would wait forever.
    """
    if len(state.queues) == 1:
        (queue,) = state.queues
        return queue if _fits(state, queue, lacking, reserved) else None
    found = ((key, head(state, state.queues[key], reserved)) for key in state.queues)
    heads = {key: entry for key, entry in found if entry is not None}
    claimed: Set[str] = set()
    for queue in sorted(heads, key=heads.__getitem__):
        wanted = {resource for resource, _ in queue}
        if not wanted & claimed and _fits(state, queue, lacking, reserved):
            return queue
        claimed |= wanted
    return None


def _fits(
    state: State,
    queue: ResourceKey,
    lacking: AbstractSet[str],
    reserved: Reservations,
) -> bool:
    if any(resource in lacking for resource, _ in queue):
        return False
    return _lacking(state, queue, reserved) is None


def _lacking(state: State, queue: ResourceKey, reserved: Reservations) -> Optional[str]:
    """The first resource that is full for the tasks in a queue."""
    for resource, amount in queue:
        used = state.used.get(resource, 0) + reserved.used.get(resource, 0)
        if used + amount > _capacity(state, resource, amount):
            return resource
    return None


def _capacity(state: State, resource: str, amount: int) -> int:
    """Capacity of a resource; a task that wants more runs alone in it."""
    kind, _, name = resource.partition(":")
    if kind == "run":
        limit = state.runs[name].submitted.max_parallel
        return amount if limit is None else limit
    # A pool that is no longer in the configuration does not limit.
    size = state.capacity.get(name)
    return state.used.get(resource, 0) + amount if size is None else max(size, amount)


def _work_of(task: TaskState) -> Any:
    """The action of the next attempt of a task, by its purpose."""
    if task.purpose == "undo":
        return task.task.undo and task.task.undo.action
    return task.task.probe if task.purpose == "probe" else task.task.action


def _resolve_action(action: Executable, run: RunState, values: RunValues) -> Executable:
    known = (run.output_of, run.outcome_of, values)
    if isinstance(action, Command):
        return Command(tuple(resolve(list(action.argv), *known)))
    if isinstance(action, Script):
        return replace(action, args=resolve(action.args, *known))
    if isinstance(action, NushellCall):
        args = tuple(resolve(list(action.args), *known))
        flags: Dict[str, Any] = resolve(action.flags, *known)
        return replace(action, args=args, flags=flags)
    raise AssertionError(action)
