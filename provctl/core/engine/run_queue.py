"""The ready queues, resources in use, and timers.

Functions that change the state are only called by `core.engine.apply`.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Dict, Iterator, Optional, Sequence, Tuple

if TYPE_CHECKING:
    from provctl.core.engine.state import (
        QueueEntry,
        ResourceKey,
        RunState,
        State,
        TaskState,
    )
    from provctl.core.model.workflow import Task


SLOTS = "slots"  # the resource of which every attempt takes one unit
RESERVED = "reserved"  # slots of ready tasks, for `explain`
# Each start looks past all of them: more would take longer than what they wait for.
RESERVATIONS_MAX = 128


class Reservations:
    """Ready tasks that hold what they will take before their attempts can start.

    They are no part of the state: no event tells of them, and the next owner has none.
    """

    def __init__(self) -> None:
        self._keys: Dict[Tuple[str, str], ResourceKey] = {}
        self.used: Dict[str, int] = {}

    def add(self, run: RunState, task: TaskState) -> None:
        """Hold what a task takes."""
        key = resource_key(run, task.task)
        self._keys[(run.submitted.run, task.task.id)] = key
        self._count(key, +1)

    def discard(self, run_id: str, task_id: str) -> None:
        """Hold nothing any more for a task, if anything was."""
        self._count(self._keys.pop((run_id, task_id), ()), -1)

    def _count(self, key: ResourceKey, sign: int) -> None:
        for resource, amount in key:
            used = self.used.pop(resource, 0) + sign * amount
            if used:
                self.used[resource] = used

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Tuple[str, str]]:
        return iter(list(self._keys))

    def __contains__(self, key: object) -> bool:
        return key in self._keys


def count_resources(state: State, run: RunState, task: TaskState, sign: int) -> None:
    """An attempt starts (`sign` +1) or has finished (-1): count its resources."""
    state.running += sign
    run.live += sign
    for resource, amount in resource_key(run, task.task):
        used = state.used.pop(resource, 0) + sign * amount
        if used:
            state.used[resource] = used


def resource_key(run: RunState, task: Task) -> ResourceKey:
    """The resources of a task while it runs, as (resource, amount), sorted."""
    taken = [(pool(name), amount) for name, amount in task.pools.items()]
    if run.submitted.max_parallel is not None:
        taken.append(("run:" + run.submitted.run, 1))
    return tuple(sorted(taken))


def taken_by(task: Task) -> ResourceKey:
    """The part of an attempt's resources that all owners of a state directory share."""
    return ((SLOTS, 1), *((pool(name), n) for name, n in task.pools.items()))


def pool(name: str) -> str:
    """Return the name of a pool as a resource."""
    return "pool:" + name


def enqueue(state: State, run: RunState, task: TaskState) -> None:
    """Add a task to the queue, by rank."""
    rank = (
        -run.submitted.priority,
        -task.task.priority,
        run.submitted.at,
        run.arrival,
        task.task.index,
    )
    queue = state.queues.setdefault(resource_key(run, task.task), [])
    heapq.heappush(queue, (rank, run.submitted.run, task.task.id))


def dequeue(state: State, run: RunState, task: TaskState) -> None:
    """Remove a task that is no longer ready from its queue.

    The head is removed at once, another entry when it gets to the head: on replay tasks
    of many runs are in one queue, and each of them may be the next to leave.
    """
    key = resource_key(run, task.task)
    queue = state.queues.get(key, [])
    while queue and not is_queued(state, queue[0]):
        heapq.heappop(queue)
    if not queue:
        state.queues.pop(key, None)  # it has no queue while the run is paused


def is_queued(state: State, entry: QueueEntry) -> bool:
    """Whether a queue entry is still valid: not if its run is closed."""
    rank, run_id, task_id = entry
    run = state.runs.get(run_id)
    if run is None or run.arrival != rank[3]:
        return False
    return run.tasks[task_id].status == "ready"


def head(
    state: State, queue: Sequence[QueueEntry], reserved: Reservations
) -> Optional[QueueEntry]:
    """Return who comes first in a lane, but for those that hold what they take already.

    From the top of the heap down, and no further than needed.
    """
    if not reserved:
        return queue[0]
    found = [(queue[0], 0)]
    while found:
        entry, at = heapq.heappop(found)
        if entry[1:] not in reserved and is_queued(state, entry):
            return entry
        for below in (2 * at + 1, 2 * at + 2):
            if below < len(queue):
                heapq.heappush(found, (queue[below], below))
    return None


def drop_waiting(state: State, run: RunState) -> None:
    """Remove a whole run from all queues and timers, in one pass."""
    if run.outcome is not None:
        return  # nothing of it waits, so the queues need not be searched
    drop_queues(state, run)
    run_id = run.submitted.run
    state.timers[:] = [timer for timer in state.timers if timer[1] != run_id]
    heapq.heapify(state.timers)


def drop_queues(state: State, run: RunState) -> None:
    """Remove a whole run from all queues."""
    run_id = run.submitted.run
    for key, queue in list(state.queues.items()):
        queue[:] = [e for e in queue if e[1] != run_id and is_queued(state, e)]
        heapq.heapify(queue)
        if not queue:
            del state.queues[key]


def drop_timer(state: State, run: str, task: str) -> None:
    """Forget a deadline; cheap if it is the next one."""
    timers = state.timers
    if timers and timers[0][1:] == (run, task):
        heapq.heappop(timers)
    else:
        timers[:] = [timer for timer in timers if timer[1:] != (run, task)]
        heapq.heapify(timers)


def set_timer(state: State, when: float, run: str, task: str = "") -> None:
    """Set a deadline of a task, or of the whole run."""
    heapq.heappush(state.timers, (when, run, task))
