"""Owns what is on a picture of runs and what is left out when they do not fit.

Pure: `now` and the size of the terminal come in, a rich renderable goes out. What
fits is shown in file order. What does not fit is chosen by urgency (running,
retrying, held, failed), kept in file order, and the rest folded into one line.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, List, Mapping, Sequence, Tuple

from rich.cells import cell_len

from provctl.core.state import FAILURES
from provctl.ui import rows
from provctl.ui.frame import ASCII, UNICODE, Frame, Paper
from provctl.ui.lines import counts_of, state_of

if TYPE_CHECKING:
    from provctl.core.view import RunView, TaskView
    from provctl.ui.frame import Line

__all__ = ["render", "render_many"]

_TAIL_LINES = 4
_URGENCY = {"running": 0, "retrying": 1, "held": 2, "undo_failed": 3}
_URGENCY.update(dict.fromkeys(FAILURES, 3))
_SMALLEST_RUN = 3  # a head, one line for the tasks, a foot


def render(
    view: RunView, *, now: float, width: int, height: int, ascii_only: bool = False
) -> Frame:
    """Draw one run in at most `height` lines of at most `width` cells."""
    paper = Paper(width, now, ASCII if ascii_only else UNICODE)
    return Frame(tuple(_run(view, paper, height)))


def render_many(
    views: Sequence[RunView],
    *,
    now: float,
    width: int,
    height: int,
    ascii_only: bool = False,
) -> Frame:
    """Draw the runs of a batch, in order, and a line that counts them.

    Runs that do not fit get one line each, those at work sharing what is left; of
    more runs than lines, those at work are shown.
    """
    if len(views) == 1:
        return render(
            views[0], now=now, width=width, height=height, ascii_only=ascii_only
        )
    paper = Paper(width, now, ASCII if ascii_only else UNICODE)
    shown = _most_urgent_runs(views, height - 1)
    names = max((cell_len(paper.clean(v.name)) for v in shown), default=0)
    name_cells = min(names, max(8, width // 3))
    drawn: List[Line] = []
    for view, share in zip(shown, _shares(shown, height - 1)):
        if share < _SMALLEST_RUN:
            drawn.append(rows.summary(view, paper, name_cells))
        else:
            drawn += _run(view, paper, share)
    drawn.append(rows.total(views, paper))
    return Frame(tuple(drawn))


def _run(view: RunView, paper: Paper, height: int) -> List[Line]:
    if height < _SMALLEST_RUN:
        name_cells = cell_len(paper.clean(view.name))
        return [rows.summary(view, paper, min(name_cells, paper.width // 3))]
    room = height - 2
    tasks, folded = _choose(view, room)
    spare = room - len(tasks) - bool(folded)
    lines = [rows.head(view, paper)]
    for task, label in zip(tasks, rows.labels(tasks, paper)):
        lines.append(rows.task_row(task, label, paper))
        tail = rows.tail(task, paper, min(_TAIL_LINES, spare))
        spare -= len(tail)
        lines += tail
    if folded:
        lines.append(rows.fold(folded, paper))
    lines.append(rows.foot(view, paper))
    return lines


def _choose(view: RunView, room: int) -> Tuple[Sequence[TaskView], Mapping[str, int]]:
    """Choose the tasks that get a row, and count the others by state."""
    tasks: Sequence[TaskView] = view.tasks
    counts = counts_of(view)
    unlisted = sum(counts.values()) > len(tasks)
    if len(tasks) + unlisted > room:
        tasks = _most_urgent_tasks(tasks, room - 1)
    elif not unlisted:
        return tasks, {}
    shown = Counter(map(state_of, tasks))
    rest = {state: counts[state] - shown[state] for state in counts}
    return tasks, {state: number for state, number in rest.items() if number > 0}


def _most_urgent_tasks(tasks: Sequence[TaskView], most: int) -> List[TaskView]:
    ranked = [
        (_URGENCY[state], index)
        for index, state in enumerate(map(state_of, tasks))
        if state in _URGENCY
    ]
    ranked.sort()
    return [tasks[index] for index in sorted(index for _, index in ranked[:most])]


def _most_urgent_runs(views: Sequence[RunView], most: int) -> List[RunView]:
    order = sorted(range(len(views)), key=lambda i: _idle(views[i]))
    return [views[index] for index in sorted(order[: max(most, 0)])]


def _idle(view: RunView) -> int:
    """Rank a run by how little there is to see: at work, ended, not begun."""
    return {"finished": 1, "queued": 2}.get(view.status, 0)


def _shares(views: Sequence[RunView], height: int) -> List[int]:
    """Divide the lines among runs: what each needs, or else one and a fair share."""
    needs = [_needed(view) for view in views]
    if sum(needs) <= height:
        return needs
    shares = [1] * len(views)
    spare = height - len(views)
    at_work = [i for i, view in enumerate(views) if _idle(view) == 0]
    # The modest first: what they leave is shared by those who need more.
    at_work.sort(key=lambda i: needs[i])
    for done, index in enumerate(at_work):
        extra = min(needs[index] - 1, spare // (len(at_work) - done))
        if 1 + extra >= _SMALLEST_RUN:
            shares[index] += extra
            spare -= extra
    return shares


def _needed(view: RunView) -> int:
    tails = sum(min(len(task.log_tail), _TAIL_LINES) for task in view.tasks)
    unlisted = sum(counts_of(view).values()) > len(view.tasks)
    return _SMALLEST_RUN - 1 + len(view.tasks) + unlisted + tails
