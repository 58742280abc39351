"""Owns the tally of a run by stage, and which of its tasks are to begin next."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from operator import attrgetter
from time import perf_counter
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Optional, Tuple

from provctl.core.model import Group

if TYPE_CHECKING:
    from provctl.core.state import RunState, TaskState

__all__ = ["Levels"]

_STEP_S = 0.015  # of looking for the stages, at a time
_DEEPEST = 1000  # stages, beyond which they say nothing, at a high price
_COUNT_S = 0.5  # between two looks through all tasks
_NEXT = 100  # of those that have not begun

_bucket = attrgetter("bucket")


class Levels:
    """Counts anew only when a count of the run changed, and now and then at most.

    Who looks may be the process that runs the tasks, so no look is long: of a large
    run the first ones find the stages, a few each, and there is no tally until then.
    """

    def __init__(self, run: RunState) -> None:
        self.run = run
        self._walk: Optional[Iterator[Optional[_Found]]] = _staged(run)
        self._stage_of: List[int] = []
        self._tasks: List[TaskState] = []
        self._counted: Mapping[str, int] = {}
        self._counted_at: Optional[float] = None
        self.counts: Tuple[Mapping[str, int], ...] = ()
        self.next_up: List[str] = []

    def look(self, now: float) -> None:
        """Bring `counts` (of each stage, by status or outcome) and `next_up` up to date.

        `now` is in seconds, of a clock that may be set back.
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
        both = chain(self._those("ready"), self._those("waiting"))
        self.next_up = list(islice(both, _NEXT))

    def _go_on(self, walk: Iterator[Optional[_Found]]) -> bool:
        """Learn the stages of some more tasks; return whether all are known."""
        until = perf_counter() + _STEP_S
        for found in walk:
            if found is not None:
                self._stage_of.append(found[0])
                self._tasks.append(found[1])
            if perf_counter() >= until:
                return False
        self._walk = None
        return True

    def _tally(self, depth: int) -> Tuple[Mapping[str, int], ...]:
        counts: List[Dict[str, int]] = [{} for _ in range(depth)]
        pairs = Counter(zip(self._stage_of, map(_bucket, self._tasks)))
        for (stage, bucket), number in pairs.items():
            counts[stage][bucket] = number
        return tuple(counts)

    def _those(self, bucket: str) -> Iterator[str]:
        if not self.run.counts.get(bucket):
            return iter(())
        return (task.task.id for task in self._tasks if task.bucket == bucket)


_Found = Tuple[int, "TaskState"]
_Node = Tuple[str, bool]  # a task, or with True the end of a nested workflow
_PIECE = 1000


def _staged(run: RunState) -> Iterator[Optional[_Found]]:
    """Tell the stage of each task, as `core.graph.stages` has it, stage by stage.

    One at a time: what the state knows of the graph is enough for that. None is only
    an occasion to stop.
    """
    waits: Dict[_Node, int] = {}
    ready: List[_Node] = []
    for name, each in run.tasks.items():
        if not each.task.needs and each.task.parent is None:
            ready.append((name, False))
        yield None
    stage = 0
    while ready:
        following: List[_Node] = []
        starts = 0
        for node in ready:
            if not node[1]:
                starts += 1
                yield stage, run.tasks[node[0]]
            after = _after(run, node)
            while True:
                piece = list(islice(after, _PIECE))
                following += [each for each in piece if _is_last(run, waits, each)]
                if len(piece) < _PIECE:
                    break
                yield None
        ready = following
        stage += starts > 0


def _after(run: RunState, node: _Node) -> Iterator[_Node]:
    """What waits for a node. A nested workflow begins, and ends when all in it have."""
    name, is_end = node
    task = run.tasks[name].task
    if isinstance(task.action, Group) and not is_end:
        yield from ((child, False) for child in run.children.get(name, ()))
        yield name, True
        return
    yield from ((other, False) for other, _ in run.dependents.get(name, ()))
    if task.parent is not None:
        yield task.parent, True


def _is_last(run: RunState, waits: Dict[_Node, int], node: _Node) -> bool:
    """Count that a node waits for one thing less; return whether that was the last."""
    left = waits.get(node)
    if left is None:
        name, is_end = node
        task = run.tasks[name].task
        left = len(task.needs) + (task.parent is not None)
        if is_end:
            left = 1 + len(run.children.get(name, ()))
    waits[node] = left - 1
    return left == 1
