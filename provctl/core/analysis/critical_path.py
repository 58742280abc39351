"""The critical path: the tasks that determine the duration of a workflow.

The critical path method (Kelley and Walker, 1959): a forward pass finds the earliest
start of each task, a backward pass its slack, which is how much later it could finish
without delaying the run. Tasks on the longest path have none. Only dependencies count,
not slots and pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, List, Mapping, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.graph import ordered
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.model.workflow import Task


@light_dataclass
class TaskSlack:
    """The earliest start of a task, and its slack; in seconds from the start."""

    earliest_s: float
    took_s: float
    slack_s: float


def critical_path(
    tasks: Sequence[Task], took_s: Callable[[Task], float]
) -> Tuple[List[str], Mapping[str, TaskSlack]]:
    """Return the longest chain of tasks, first to last, and the timing of every task.

    `took_s` gives the duration of a task in seconds; it is not called for nested
    workflows. The table must have been checked. On ties the first task in it wins.
    """
    nodes = ordered(tasks)
    ends: Dict[int, float] = {}
    last: Dict[int, int] = {}  # the dependency of each task that finishes last
    for node, waits in nodes:
        begin = max((ends[other] for other in waits), default=0.0)
        if waits:
            last[node] = min(o for o in waits if ends[o] == begin)
        ends[node] = begin + _length(tasks, node, took_s)
    whole = max(ends.values(), default=0.0)
    latest = _latest(tasks, nodes, whole, took_s)
    timings = {
        task.id: _timing(task, index, ends, latest, took_s)
        for index, task in enumerate(tasks)
    }
    return _chain(tasks, ends, last, whole), timings


def _length(tasks: Sequence[Task], node: int, took_s: Callable[[Task], float]) -> float:
    """A nested workflow takes no time besides its tasks, nor does the end of a level."""
    if not 0 <= node < len(tasks) or isinstance(tasks[node].action, SubWorkflow):
        return 0.0
    return max(took_s(tasks[node]), 0.0)


def _latest(
    tasks: Sequence[Task],
    nodes: Sequence[Tuple[int, List[int]]],
    whole: float,
    took_s: Callable[[Task], float],
) -> Dict[int, float]:
    """The latest end of each node that does not delay the run."""
    latest: Dict[int, float] = {}
    for node, waits in reversed(nodes):
        end = latest.setdefault(node, whole)
        begin = end - _length(tasks, node, took_s)
        for other in waits:
            latest[other] = min(latest.get(other, whole), begin)
    return latest


def _timing(
    task: Task,
    index: int,
    ends: Mapping[int, float],
    latest: Mapping[int, float],
    took_s: Callable[[Task], float],
) -> TaskSlack:
    if isinstance(task.action, SubWorkflow):
        begin = ends[~index]
        return TaskSlack(begin, ends[index] - begin, latest[index] - ends[index])
    length = max(took_s(task), 0.0)
    return TaskSlack(ends[index] - length, length, latest[index] - ends[index])


def _chain(
    tasks: Sequence[Task],
    ends: Mapping[int, float],
    last: Mapping[int, int],
    whole: float,
) -> List[str]:
    if not ends:
        return []
    node = min(node for node in ends if node >= 0 and ends[node] == whole)
    chain = []
    while True:
        is_task = 0 <= node < len(tasks)
        if is_task and not isinstance(tasks[node].action, SubWorkflow):
            chain.append(tasks[node].id)
        if node not in last:
            return chain[::-1]
        node = last[node]
