"""The checks of the graph: names first, then cycles by stdlib graphlib.

A nested workflow is two nodes, its start and its end. Its tasks wait for the start, the
end waits for its tasks, and its own dependencies come before the start. Finalizers wait
for a node that waits for all other tasks of their level. Nodes are ints in file order
(`i` a task or a group's end, `~i` a group's start, from the number of tasks on what
finalizers wait for), because graphlib turns unknown names into nodes and answers in the
order of its input: it gets no names and no sets.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from graphlib import CycleError, TopologicalSorter

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.workflow import SubWorkflow, Task

if TYPE_CHECKING:
    from provctl.core.model.workflow import Task

MAX_CYCLES = 20
_SHOWN = 20  # tasks of a cycle that a message names

Edges = Dict[int, List[int]]
WrongNeed = Tuple[str, Optional[int]]


@light_dataclass
class GraphProblem:
    """One mistake in the graph, found at `task`.

    `need` is the index in its `needs`, None if none of its own is at fault. `cycle` is
    only set for a cycle: ids, each of which needs the next; the first is repeated at
    the end.
    """

    task: str
    need: Optional[int]
    message: str
    cycle: Tuple[str, ...] = ()


def check(tasks: Sequence[Task]) -> Tuple[GraphProblem, ...]:
    """Return everything wrong with the dependencies in a task table.

    Cycles are searched among valid dependencies; cycles that share a dependency count
    as one, and at most 20 are reported.
    """
    places = {task.id: index for index, task in enumerate(tasks)}
    problems = [
        GraphProblem(task.id, position, message)
        for task in tasks
        for position, message in _wrong_names(task, places)
    ]
    wrong = {(problem.task, problem.need) for problem in problems}
    edges = _edges(tasks, places, wrong)
    for _ in range(MAX_CYCLES):
        nodes = _cycle(edges)
        if nodes is None:
            break
        problems.append(_describe(nodes, tasks))
        _cut(edges, nodes, tasks)
    return tuple(problems)


def stages(tasks: Sequence[Task]) -> List[List[Task]]:
    """The tasks of a checked table by stage: each depends only on earlier stages.

    A nested workflow is in the stage in which it starts.
    """
    places = {task.id: index for index, task in enumerate(tasks)}
    sorter = TopologicalSorter(_edges(tasks, places, frozenset()))
    sorter.prepare()
    found: List[List[Task]] = []
    while sorter.is_active():
        nodes = sorter.get_ready()
        sorter.done(*nodes)
        starts = [n if n >= 0 else ~n for n in nodes if _is_start(n, tasks)]
        if starts:
            found.append([tasks[index] for index in sorted(starts)])
    return found


def ordered(tasks: Sequence[Task]) -> List[Tuple[int, List[int]]]:
    """Each node of a checked table and the nodes it waits for, in topological order.

    `i` is a task or the end of a nested workflow, `~i` the start of one, and from the
    number of tasks on the end of all tasks of a level but its finalizers.
    """
    places = {task.id: index for index, task in enumerate(tasks)}
    edges = _edges(tasks, places, frozenset())
    return [(node, edges[node]) for node in TopologicalSorter(edges).static_order()]


def _is_start(node: int, tasks: Sequence[Task]) -> bool:
    """Whether a task or a nested workflow starts there."""
    if node >= len(tasks):
        return False
    return node < 0 or not isinstance(tasks[node].action, SubWorkflow)


def _wrong_names(task: Task, places: Mapping[str, int]) -> Iterator[Tuple[int, str]]:
    for position, need in enumerate(task.needs):
        if need.task not in places:
            yield (
                position,
                f"task `{task.id}` needs `{need.task}`, which does not exist",
            )
        elif need.task == task.id:
            yield position, f"task `{task.id}` needs itself"
        elif task.id.startswith(f"{need.task}/"):
            yield (
                position,
                f"task `{task.id}` needs `{need.task}`, the workflow it is part of",
            )


def _edges(
    tasks: Sequence[Task], places: Mapping[str, int], wrong: AbstractSet[WrongNeed]
) -> Edges:
    """The nodes that each node waits for, in file order."""
    edges: Edges = {}
    for index, task in enumerate(tasks):
        entry = ~index if isinstance(task.action, SubWorkflow) else index
        waits = edges[entry] = [
            places[need.task]
            for position, need in enumerate(task.needs)
            if (task.id, position) not in wrong
        ]
        if entry != index:
            edges[index] = [entry]
        if task.parent is not None:
            group = places[task.parent]
            waits.append(~group)
            edges[group].append(index)
    _add_finalizers(edges, tasks)
    return edges


def _add_finalizers(edges: Edges, tasks: Sequence[Task]) -> None:
    """Have finalizers wait for the end of all other tasks of their level."""
    levels = dict.fromkeys(task.parent for task in tasks if task.finalizer)
    ends = {level: len(tasks) + number for number, level in enumerate(levels)}
    edges.update((end, []) for end in ends.values())
    for index, task in enumerate(tasks):
        end = ends.get(task.parent)
        if end is not None and task.finalizer:
            edges[index].append(end)
        elif end is not None:
            edges[end].append(index)


def _cycle(edges: Edges) -> Optional[List[int]]:
    """Nodes each of which waits for the next, the last for the first; or None."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        # graphlib lists them in the opposite order, and repeats the first one.
        nodes: List[int] = error.args[1]
        return nodes[:0:-1]
    return None


def _cut(edges: Edges, nodes: Sequence[int], tasks: Sequence[Task]) -> None:
    """Remove the dependencies of a cycle from the graph, to find the next one."""
    for node, following in zip(nodes, [*nodes[1:], nodes[0]]):
        if max(node, following) >= len(tasks):
            continue
        contains = node >= 0 and isinstance(tasks[node].action, SubWorkflow)
        if following >= 0 and not contains:
            edges[node] = [other for other in edges[node] if other != following]


def _describe(nodes: Sequence[int], tasks: Sequence[Task]) -> GraphProblem:
    """Describe a cycle from its first dependency in file order."""
    nodes = [node for node in nodes if node < len(tasks)]
    places = [node if node >= 0 else ~node for node in nodes]
    # A group's start and end are one task for users.
    places = [p for i, p in enumerate(places) if p != places[i - 1]]
    needs = [
        next(
            (i for i, need in enumerate(tasks[a].needs) if need.task == tasks[b].id), -1
        )
        for a, b in zip(places, [*places[1:], places[0]])
    ]
    first = min((p, i) for i, p in enumerate(places) if needs[i] >= 0)[1]
    cycle = tuple(tasks[p].id for p in [*places[first:], *places[: first + 1]])
    return GraphProblem(
        cycle[0],
        needs[first],
        f"dependency cycle: {_path(cycle)}",
        cycle,
    )


def _path(cycle: Sequence[str]) -> str:
    """The cycle as text, with its middle omitted if it is long."""
    if len(cycle) <= _SHOWN:
        return " -> ".join(cycle)
    half = _SHOWN // 2
    left_out = f"({len(cycle) - 2 * half} more)"
    return " -> ".join([*cycle[:half], left_out, *cycle[-half:]])


# The order of a task among its siblings: stage, then name in natural order.
_Rank = Tuple[int, List[Union[str, int]]]


def topological_order(tasks: Sequence[Task]) -> Tuple[Task, ...]:
    """Sort a checked table: dependencies first, `web-2` before `web-10`.

    The tasks of a nested workflow still follow it.
    """
    stage = {task.id: n for n, found in enumerate(stages(tasks)) for task in found}
    places: Dict[str, Tuple[_Rank, ...]] = {}
    for task in tasks:
        around = places[task.parent] if task.parent is not None else ()
        places[task.id] = (*around, (stage[task.id], _natural_key(task.id)))
    ordered = sorted(tasks, key=lambda task: places[task.id])
    return tuple(replace(task, index=index) for index, task in enumerate(ordered))


def _natural_key(text: str) -> List[Union[str, int]]:
    """Text and numbers in turn, so that lists of them can be compared."""
    parts = re.split(r"(\d+)", text)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]
