"""Counts the tasks of a run by stage, and finds the tasks that start next."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from operator import attrgetter
from time import perf_counter
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Optional, Tuple

from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState


_STEP_S = 0.015  # spent per call on finding the stages,
_PIECE = 1000  # but for at least this many steps
_DEEPEST = 1000  # stages; counts of more are costly and not informative
_COUNT_S = 0.5  # between two scans of all tasks
_NEXT = 100  # of the tasks that have not started

_counted_as = attrgetter("counted_as")


class StageCounts:
    """Counts again only when a count of the run has changed, and not too often.

    The process that draws the view may also run the tasks, so no call takes long. For a
    large run, the first calls find the stages step by step; there are no counts until
    then.
    """

    def __init__(self, run: RunState) -> None:
        self.run = run
        self._walk: Optional[Iterator[Optional[_Found]]] = _find_stages(run)
        self._stage_of: List[int] = []
        self._tasks: List[TaskState] = []
        self._counted: Mapping[str, int] = {}
        self._counted_at: Optional[float] = None
        self.counts: Tuple[Mapping[str, int], ...] = ()
        self.next_up: List[str] = []

    def refresh(self, now: float) -> None:
        """Update `counts` (of each stage, by status or outcome) and `next_up`.

        `now` is in seconds, from a clock that may be set back.
        """
        if self._walk is not None and not self._go_on(self._walk):
            return
        early = self._counted_at is not None and (
            0 <= now - self._counted_at < _COUNT_S and self.run.outcome is None
        )
        if early or self._counted == self.run.counts:
            return
        self._counted_at = now
        self._counted = dict(self.run.counts)
        depth = self._stage_of[-1] + 1 if self._stage_of else 0
        if depth <= _DEEPEST:
            self.counts = self._tally(depth)
        both = chain(self._tasks_in("ready"), self._tasks_in("waiting"))
        self.next_up = list(islice(both, _NEXT))

    def _go_on(self, walk: Iterator[Optional[_Found]]) -> bool:
        """Find the stages of some more tasks; return whether all are known."""
        until = perf_counter() + _STEP_S
        for number, found in enumerate(walk, 1):
            if found is not None:
                self._stage_of.append(found[0])
                self._tasks.append(found[1])
            if number % _PIECE == 0 and perf_counter() >= until:
                return False
        self._walk = None
        return True

    def _tally(self, depth: int) -> Tuple[Mapping[str, int], ...]:
        counts: List[Dict[str, int]] = [{} for _ in range(depth)]
        pairs = Counter(zip(self._stage_of, map(_counted_as, self._tasks)))
        for (stage, bucket), number in pairs.items():
            counts[stage][bucket] = number
        return tuple(counts)

    def _tasks_in(self, bucket: str) -> Iterator[str]:
        if not self.run.counts.get(bucket):
            return iter(())
        return (task.task.id for task in self._tasks if task.counted_as == bucket)


_Found = Tuple[int, "TaskState"]

# A node is the name of a task; with this suffix it is the end of a nested workflow.
# Nodes are strings, because the garbage collector would take long to traverse other
# objects.
_END = "/"
_OTHERS = "//"  # suffix of a level (none for the run): its tasks except finalizers


def _find_stages(run: RunState) -> Iterator[Optional[_Found]]:
    """Yield the stage of each task, in the order of `core.model.graph.stages`.

    It works step by step on the graph in the state. A None is only an opportunity to
    interrupt it.
    """
    waits: Dict[str, int] = {}
    ready: List[str] = []
    for name in run.tasks:
        if not _waits_for(run, name):
            ready.append(name)
        yield None
    stage = 0
    while ready:
        following: List[str] = []
        starts = 0
        for node in ready:
            if not node.endswith((_END, _OTHERS)):
                starts += 1
                yield stage, run.tasks[node]
            for after in _dependents(run, node):
                if _is_last(run, waits, after):
                    following.append(after)
                yield None
        ready = following
        stage += starts > 0


def _dependents(run: RunState, node: str) -> Iterator[str]:
    """Yield the nodes that wait for a node.

    A nested workflow has a start and an end; it ends when all its tasks have ended.
    """
    name = node.rstrip(_END)
    if node.endswith(_OTHERS):
        yield from run.finalizers[name or None]
        return
    task = run.tasks[name].task
    if isinstance(task.action, SubWorkflow) and name == node:
        yield from run.children.get(name, ())
        yield name + _END
        return
    yield from (other for other, _ in run.dependents.get(name, ()))
    if task.parent is not None:
        yield task.parent + _END
    if not task.finalizer and task.parent in run.finalizers:
        yield (task.parent or "") + _OTHERS


def _is_last(run: RunState, waits: Dict[str, int], node: str) -> bool:
    """Count one dependency of a node as done; return whether it was the last."""
    left = waits.get(node)
    if left is None:
        left = _waits_for(run, node)
    waits[node] = left - 1
    return left == 1


def _waits_for(run: RunState, node: str) -> int:
    """Return how many nodes a node waits for."""
    name = node.rstrip(_END)
    if node.endswith(_OTHERS):
        return _others(run, name or None)
    task = run.tasks[name].task
    if name != node:
        return 1 + len(run.children.get(name, ()))
    after_others = task.finalizer and _others(run, task.parent) > 0
    return len(task.needs) + (task.parent is not None) + after_others


def _others(run: RunState, level: Optional[str]) -> int:
    """Return how many tasks of a level are not finalizers."""
    finalizers = len(run.finalizers.get(level, ()))
    if level is not None:
        return len(run.children[level]) - finalizers
    inside = sum(map(len, run.children.values()))
    return len(run.tasks) - inside - finalizers
