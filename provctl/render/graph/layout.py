"""The layout of the graph: nodes, edges, stages and colours, for every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.graph import stages
from provctl.core.model.workflow import SubWorkflow
from provctl.render.text import sanitize

if TYPE_CHECKING:
    from provctl.core.engine.view import TaskView
    from provctl.core.model.workflow import Task


# By status or outcome, see `core.engine.view.TaskView`; fill and line, readable in
# light and dark mode.
COLOURS: Mapping[str, Tuple[str, str]] = {
    "succeeded": ("#d7f5dd", "#1a7f37"),
    "failed": ("#ffdcd9", "#b3261e"),
    "timed_out": ("#ffdcd9", "#b3261e"),
    "undo_failed": ("#ffdcd9", "#b3261e"),
    "lost": ("#ffe7c7", "#9a5b00"),
    "interrupted": ("#ffe7c7", "#9a5b00"),
    "held": ("#ffe7c7", "#9a5b00"),
    "retrying": ("#fff4c2", "#8a6d00"),
    "running": ("#d9ebff", "#0757b5"),
    "undone": ("#ece4ff", "#5b3fa8"),
    "cancelled": ("#ebebeb", "#6b6b6b"),
    "skipped": ("#f5f5f5", "#8c8c8c"),
    "": ("#ffffff", "#57606a"),
}


@light_dataclass
class Node:
    """A task. `stage` and `row` are its position; `state` is a key of `COLOURS`.

    `note` is shown below its name: its duration, or nothing.
    """

    index: int
    id: str
    name: str
    state: str
    note: str
    stage: int
    row: int
    parent: Optional[int]
    is_group: bool
    is_critical: bool


@light_dataclass
class Edge:
    """A dependency, from the needed task. `on` is success, failure or done."""

    start: int
    end: int
    on: str
    is_critical: bool


@light_dataclass
class GraphLayout:
    """A workflow, or a run of it."""

    title: str
    nodes: Tuple[Node, ...]
    edges: Tuple[Edge, ...]


def graph_layout(
    title: str,
    tasks: Sequence[Task],
    seen: Mapping[str, TaskView],
    critical: Sequence[str],
    notes: Mapping[str, str],
) -> GraphLayout:
    """Return the layout of a checked table of tasks.

    `seen` has the views of tasks in a run, `notes` short texts about them; both may be
    empty. `critical` is the critical path. Texts must be safe for a terminal.
    """
    places = {task.id: index for index, task in enumerate(tasks)}
    on_path = set(critical)
    rows = _rows(tasks, places)
    nodes = tuple(
        Node(
            index=index,
            id=task.id,
            name=task.id.rpartition("/")[2],
            state=_state(seen.get(task.id)),
            note=_note(task, notes),
            stage=rows[index][0],
            row=rows[index][1],
            parent=None if task.parent is None else places[task.parent],
            is_group=isinstance(task.action, SubWorkflow),
            is_critical=task.id in on_path,
        )
        for index, task in enumerate(tasks)
    )
    steps = set(zip(critical, critical[1:]))
    edges = tuple(
        Edge(places[need.task], index, need.on, _is_step(tasks, need.task, task, steps))
        for index, task in enumerate(tasks)
        for need in task.needs
    )
    return GraphLayout(sanitize(title), nodes, edges)


def _note(task: Task, notes: Mapping[str, str]) -> str:
    words = ["finalizer"] if task.finalizer else []
    return sanitize(" ".join([*words, notes.get(task.id, "")]).strip())


def _is_step(
    tasks: Sequence[Task], needed: str, task: Task, steps: Set[Tuple[str, str]]
) -> bool:
    """Whether the critical path uses a dependency, also into or out of a group."""
    if (needed, task.id) in steps:
        return True
    return any(
        (one == needed or one.startswith(f"{needed}/"))
        and (other == task.id or other.startswith(f"{task.id}/"))
        for one, other in steps
    )


def _state(view: Optional[TaskView]) -> str:
    if view is None:
        return ""
    state = view.outcome or view.status
    return state if state in COLOURS else ""


def _rows(
    tasks: Sequence[Task], places: Mapping[str, int]
) -> Dict[int, Tuple[int, int]]:
    """Stage and row of each task: near its dependencies, so that few lines cross.

    The barycentre heuristic (Sugiyama, Tagawa and Toda, 1981), one sweep forward.
    """
    found: Dict[int, Tuple[int, int]] = {}
    for number, stage in enumerate(stages(tasks)):
        middles: List[Tuple[float, int]] = []
        for task in stage:
            before = [places[need.task] for need in task.needs]
            if task.parent is not None:
                before.append(places[task.parent])
            rows = [found[place][1] for place in before if place in found]
            index = places[task.id]
            middles.append((sum(rows) / len(rows) if rows else float(index), index))
        for row, (_, index) in enumerate(sorted(middles)):
            found[index] = (number, row)
    return found
