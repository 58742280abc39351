"""What a picture of runs shows, and what is left out if they do not fit.

Pure: `now` and the size of the terminal come in, a rich renderable goes out. What
fits is shown in file order. Otherwise tasks are chosen: failed, held and running ones,
then the next ones. All other tasks are counted by stage.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Callable, Dict, List, Mapping, Sequence, Tuple

from rich.cells import cell_len

from provctl.core.model.status import FAILURES
from provctl.render.live import rows
from provctl.render.live.frame import ASCII, UNICODE, Canvas, Frame
from provctl.render.text import OUTCOMES, counts_of, state_of

if TYPE_CHECKING:
    from provctl.core.engine.view import RunView, TaskView
    from provctl.render.live.frame import Line


_TAIL_LINES = 4
_AT_WORK = frozenset({"running", "retrying"})
_TROUBLED = FAILURES | {"held", "undo_failed"}
_BEFORE = frozenset({"waiting", "ready"})
_SMALLEST_RUN = 3  # two lines for its head, one for the tasks
_STAGES = 5  # at most so many lines for stages,
_STAGED = 4  # in a picture of at least this many times as many lines

# Adds to a visible row what is expensive to find out.
Fill = Callable[["RunView", "TaskView"], "TaskView"]


def no_enrichment(_view: RunView, task: TaskView) -> TaskView:
    """Add nothing."""
    return task


def render(
    view: RunView,
    *,
    now: float,
    width: int,
    height: int,
    ascii_only: bool = False,
    fill: Fill = no_enrichment,
) -> Frame:
    """Draw one run in at most `height` lines of at most `width` cells."""
    paper = Canvas(width, now, ASCII if ascii_only else UNICODE)
    return Frame(tuple(_run(view, paper, height, fill)))


def render_many(
    views: Sequence[RunView],
    *,
    now: float,
    width: int,
    height: int,
    ascii_only: bool = False,
    fill: Fill = no_enrichment,
) -> Frame:
    """Draw the runs of a batch in order, and a line that counts them.

    Runs that do not fit get one line each, and running ones share the remaining lines.
    If there are more runs than lines, running ones are shown.
    """
    if len(views) == 1:
        paper = Canvas(width, now, ASCII if ascii_only else UNICODE)
        return Frame(tuple(_run(views[0], paper, height, fill)))
    paper = Canvas(width, now, ASCII if ascii_only else UNICODE)
    shown = _most_urgent_runs(views, height - 1)
    names = max((cell_len(paper.clean(v.name)) for v in shown), default=0)
    name_cells = min(names, max(8, width // 3))
    drawn: List[Line] = []
    for view, share in zip(shown, _shares(shown, height - 1)):
        if share < _SMALLEST_RUN:
            drawn.append(rows.summary(view, paper, name_cells))
        else:
            drawn += _run(view, paper, share, fill)
    drawn.append(rows.total(views, paper))
    return Frame(tuple(drawn))


def _run(view: RunView, paper: Canvas, height: int, fill: Fill) -> List[Line]:
    if height < _SMALLEST_RUN:
        name_cells = cell_len(paper.clean(view.name))
        line = rows.summary(view, paper, min(name_cells, paper.width // 3))
        return [line][:height]
    room = height - 2
    chosen, below = _choose(view, room, paper)
    tasks = [fill(view, task) for task in chosen]
    spare = room - len(tasks) - len(below)
    lines = rows.head(view, paper)
    for task, row in zip(tasks, rows.task_rows(tasks, paper)):
        lines.append(row)
        tail = rows.tail(task, paper, min(_TAIL_LINES, spare))
        spare -= len(tail)
        lines += tail
    return lines + below


def _choose(
    view: RunView, room: int, paper: Canvas
) -> Tuple[Sequence[TaskView], List[Line]]:
    """Choose the tasks that get a row; draw summaries of the others."""
    counts = counts_of(view)
    unlisted = sum(counts.values()) > len(view.tasks)
    if len(view.tasks) <= room and not unlisted:
        return view.tasks, []
    staged = room >= _STAGED and len(view.stages) > 0
    below: List[Line] = []
    if staged:
        most = min(room // _STAGED, _STAGES)
        below = rows.stages(_fold_stages(view, most), paper)
    tasks = _most_urgent_tasks(view.tasks, room - len(below) - 1)
    shown = Counter(map(state_of, tasks))
    hidden = {state: counts[state] - shown[state] for state in counts}
    if staged:  # they count all tasks except those that need attention
        hidden = {s: n for s, n in hidden.items() if s in _AT_WORK | _TROUBLED}
    hidden = {state: number for state, number in hidden.items() if number > 0}
    if hidden:
        below.insert(0, rows.fold(hidden, paper))
    return tasks, below


def _most_urgent_tasks(tasks: Sequence[TaskView], most: int) -> List[TaskView]:
    """Choose rows: at least a third for failed tasks, at most for waiting ones.

    Running tasks are chosen by how long they have run. Waiting tasks come last.
    """
    places: Dict[str, List[int]] = {"troubled": [], "at work": [], "before": []}
    for index, state in enumerate(map(state_of, tasks)):
        if state in _TROUBLED:
            places["troubled"].append(index)
        elif state in _AT_WORK:
            places["at work"].append(index)
        elif state in _BEFORE:
            places["before"].append(index)
    at_work = sorted(places["at work"], key=lambda index: _since(tasks[index]))
    third = -(-most // 3)
    chosen = places["troubled"][: max(most - len(at_work), third, 0)]
    tails = sum(_tail_lines(tasks[index]) for index in chosen)
    chosen += at_work[: max(most - len(chosen), 0)]
    room = max(min(most - len(chosen) - tails, third), 0)
    return [tasks[index] for index in [*sorted(chosen), *places["before"][:room]]]


def _since(task: TaskView) -> float:
    return task.started_at if task.started_at is not None else float("inf")


def _fold_stages(view: RunView, most: int) -> List[rows.Stage]:
    """Combine stages that do not fit: finished ones, waiting ones, the rest."""
    found = [(n, n, counts) for n, counts in enumerate(view.stages, 1)]
    if len(found) > most:
        kinds = groupby(found, key=lambda stage: _kind(stage[2]))
        found = []
        for kind, alike in kinds:
            found += alike if kind == "at work" else [reduce(_join_stages, alike)]
    while len(found) > max(most, 1):
        # Combine the two neighbours with the fewest tasks.
        sizes = [sum(counts.values()) for _, _, counts in found]
        pairs = [a + b for a, b in zip(sizes, sizes[1:])]
        at = pairs.index(min(pairs))
        found[at : at + 2] = [_join_stages(found[at], found[at + 1])]
    return found


def _kind(counts: Mapping[str, int]) -> str:
    states = {state for state, number in counts.items() if number}
    if states <= set(OUTCOMES):
        return "done"
    return "before" if states <= _BEFORE else "at work"


def _join_stages(one: rows.Stage, other: rows.Stage) -> rows.Stage:
    return one[0], other[1], Counter(one[2]) + Counter(other[2])


def _most_urgent_runs(views: Sequence[RunView], most: int) -> List[RunView]:
    order = sorted(range(len(views)), key=lambda i: _idle(views[i]))
    return [views[index] for index in sorted(order[: max(most, 0)])]


def _idle(view: RunView) -> int:
    """Rank a run by how little it shows: running, finished, waiting."""
    return {"finished": 1, "queued": 2}.get(view.status, 0)


def _shares(views: Sequence[RunView], height: int) -> List[int]:
    """Divide the lines among runs: what each needs, or one line and a fair share."""
    needs = [_needed_rows(view) for view in views]
    if sum(needs) <= height:
        return needs
    shares = [1] * len(views)
    spare = height - len(views)
    at_work = [i for i, view in enumerate(views) if _idle(view) == 0]
    # Small runs first: the lines they leave are shared by larger ones.
    at_work.sort(key=lambda i: needs[i])
    for done, index in enumerate(at_work):
        extra = min(needs[index] - 1, spare // (len(at_work) - done))
        if 1 + extra >= _SMALLEST_RUN:
            shares[index] += extra
            spare -= extra
    return shares


def _needed_rows(view: RunView) -> int:
    tails = sum(map(_tail_lines, view.tasks))
    unlisted = sum(counts_of(view).values()) > len(view.tasks)
    return _SMALLEST_RUN - 1 + len(view.tasks) + unlisted + tails


def _tail_lines(task: TaskView) -> int:
    return min(len(task.log_tail), _TAIL_LINES)
