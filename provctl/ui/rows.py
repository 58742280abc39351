"""Owns the single lines of a picture: a task, its log, the head and foot of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Sequence

from rich.cells import cell_len

from provctl.core.state import FAILURES
from provctl.ui.lines import (
    OUTCOMES,
    STATES,
    at_work,
    counts_of,
    elapsed,
    sentence,
    state_of,
    tally,
    words,
)

if TYPE_CHECKING:
    from provctl.core.view import RunView, TaskView
    from provctl.ui.frame import Line, Paper, Span

__all__ = ["fold", "foot", "head", "labels", "summary", "tail", "task_row", "total"]

_STYLES = {
    "running": "bold",
    "retrying": "yellow",
    "cancelling": "yellow",
    "held": "yellow",
    "succeeded": "green",
    "cancelled": "yellow",
    "paused": "yellow",
    "rolling_back": "yellow",
    "rolled_back": "yellow",
    "undone": "yellow",
    "queued": "dim",
    "waiting": "dim",
    "ready": "dim",
    "skipped": "dim",
    **dict.fromkeys((*FAILURES, "undo_failed", "rollback_failed"), "red"),
}

_ROOMY = 60  # cells from which a row has place for a bar of its own
_TASK_BAR = 12
_ELAPSED = 6
_DEEPEST_INDENT = 6


def labels(tasks: Sequence[TaskView], paper: Paper) -> List[str]:
    """Name the rows: ids, indented below the groups that are shown above them."""
    depths: Dict[str, int] = {}
    names: List[str] = []
    for task in tasks:
        above = task.id.rpartition("/")[0]
        while above and above not in depths:
            above = above.rpartition("/")[0]
        depth = depths[above] + 1 if above else 0
        depths[task.id] = depth
        name = task.id[len(above) + 1 :] if above else task.id
        names.append("  " * min(depth, _DEEPEST_INDENT) + paper.clean(name))
    widest = max(map(cell_len, names), default=0)
    column = min(widest, max(8, paper.width * 2 // 5))
    return [paper.pad(name, column) for name in names]


def task_row(task: TaskView, label: str, paper: Paper) -> Line:
    """Draw a task: mark, name, time, and what it says or what is said of it."""
    state = state_of(task)
    style = _STYLES.get(state, "")
    quiet = "dim" if style == "dim" else ""
    ticking = paper.now if state == "running" else None
    spent = elapsed(task.started_at, task.finished_at, ticking)
    note: List[Span]
    if state == "running":
        note = _progress(task, paper)
    else:
        note = [(paper.clean(sentence(task, now=paper.now)), style)]
    return paper.line(
        [
            (f"{paper.glyphs.mark('paused' if task.frozen else state)} ", style),
            (label, quiet),
            (f" {spent:>{_ELAPSED}}  ", "dim"),
            *note,
        ]
    )


def tail(task: TaskView, paper: Paper, most: int) -> List[Line]:
    """Draw the last lines of a task's log, at most so many."""
    kept = task.log_tail[-most:] if most > 0 else ()
    margin = f"    {paper.glyphs.tail} "
    return [paper.line([(margin, "red"), (paper.clean(line), "")]) for line in kept]


def fold(counts: Mapping[str, int], paper: Paper) -> Line:
    """Stand for the tasks that have no row."""
    return paper.line([(f"{paper.glyphs.ellipsis} {tally(counts)}", "dim")])


def head(view: RunView, paper: Paper) -> Line:
    """Name a run; the name gives way before the status and the id do."""
    state = view.outcome or view.status
    rest = f"  {words(state)}  {paper.clean(view.id)}"
    name = paper.crop(paper.clean(view.name), max(paper.width - 2 - cell_len(rest), 8))
    return paper.line(
        [
            *_title(name, state, paper),
            (f"  {words(state)}", _STYLES.get(state, "")),
            (f"  {paper.clean(view.id)}", "dim"),
        ]
    )


def foot(view: RunView, paper: Paper) -> Line:
    """Draw a run as a whole: bar, tasks done of all, time, tasks by state."""
    return paper.line(
        [*_whole(view, paper, 20 if paper.width >= _ROOMY else 8), *_counted(view)]
    )


def summary(view: RunView, paper: Paper, name_cells: int) -> Line:
    """Draw a run in one line, its name in a column of so many cells."""
    state = view.outcome or view.status
    name = paper.pad(paper.clean(view.name), name_cells)
    return paper.line(
        [
            *_title(name, state, paper),
            (f"  {words(state):<10}  ", _STYLES.get(state, "")),
            *_whole(view, paper, 10),
            (f"  {paper.clean(view.id)}", "dim"),
        ]
    )


def total(views: Sequence[RunView], paper: Paper) -> Line:
    """Count the runs of a batch by where they are."""
    counts = Counter(view.outcome or view.status for view in views)
    return paper.line([(f"{len(views)} runs: ", "bold"), (tally(counts), "")])


def _title(name: str, state: str, paper: Paper) -> List[Span]:
    return [(f"{paper.glyphs.mark(state)} ", _STYLES.get(state, "")), (name, "bold")]


def _progress(task: TaskView, paper: Paper) -> List[Span]:
    """Show what a running task says of itself, or that it runs."""
    spans: List[Span] = []
    percent = task.progress.percent
    if percent is not None and paper.width >= _ROOMY:
        spans += [*paper.bar(percent / 100, _TASK_BAR), (" ", "")]
    if percent is not None:
        spans.append((f"{int(percent):3}% ", ""))
    at = at_work(task)
    message = paper.clean(task.progress.message)
    if at != "running":
        spans.append((f"{at}: " if message else at, "yellow"))
    if task.attempt > 1:
        attempts = max(task.attempts, task.attempt)
        spans.append((f"attempt {task.attempt}/{attempts} ", "yellow"))
    if message:
        spans.append((message, ""))
    return spans or [("running", "")]


def _whole(view: RunView, paper: Paper, bar_cells: int) -> Iterator[Span]:
    counts = counts_of(view)
    done = sum(counts.get(state, 0) for state in OUTCOMES)
    yield from paper.bar(done / view.total if view.total else 0.0, bar_cells)
    yield f" {done}/{view.total}", "bold"
    spent = elapsed(view.started_at, view.finished_at, paper.now)
    yield f"  {spent}" if spent else "", "dim"


def _counted(view: RunView) -> Iterator[Span]:
    counts = counts_of(view)
    for state in STATES:
        if counts.get(state):
            yield "  ", ""
            yield f"{counts[state]} {words(state)}", _STYLES.get(state, "")
