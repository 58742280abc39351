"""The single lines of a picture: a task, its log, a stage, the head of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Sequence, Tuple

from rich.cells import cell_len

from provctl.core.model.status import NEEDS_ATTENTION
from provctl.render.live.columns import columns, format_eta, format_memory, row_notes
from provctl.render.text import (
    OUTCOMES,
    STATES,
    counts_of,
    describe_task,
    duration,
    elapsed,
    format_counts,
    humanize,
    state_of,
)

if TYPE_CHECKING:
    from provctl.core.engine.view import RunView, TaskView
    from provctl.render.live.columns import Columns
    from provctl.render.live.frame import Canvas, Line, Span


# Adjacent stages of a run, the first and the last of them, and their tasks by status.
Stage = Tuple[int, int, Mapping[str, int]]

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
    "incomplete": "yellow",
    "waiting": "dim",
    "ready": "dim",
    "skipped": "dim",
    **dict.fromkeys((*NEEDS_ATTENTION, "rollback_failed"), "red"),
}

# The counts in the order in which they are shown, if not all fit.
_LOOKED_INTO = (*NEEDS_ATTENTION, "rollback_failed", "held")
_COUNTED = sorted(
    STATES, key=lambda state: (state != "running", state not in _LOOKED_INTO)
)

_ROOMY = 60  # cells from which there is room for a longer bar,
_WIDE = 80  # and for the resource usage of finished tasks
_ELAPSED = 6
_DEEPEST_INDENT = 6


def task_rows(tasks: Sequence[TaskView], paper: Canvas) -> List[Line]:
    """Draw tasks: mark, name, time, and a message or a reason."""
    names = _labels(tasks, paper)
    before = 2 + (cell_len(names[0]) if names else 0) + 1 + _ELAPSED + 2
    shown = columns(tasks, paper.width - before, paper)
    return [_task_row(task, name, shown, paper) for task, name in zip(tasks, names)]


def _labels(tasks: Sequence[TaskView], paper: Canvas) -> List[str]:
    """Name the rows: ids, indented below the groups that have a row above them."""
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


def _task_row(task: TaskView, label: str, shown: Columns, paper: Canvas) -> Line:
    state = state_of(task)
    style = _STYLES.get(state, "")
    quiet = "dim" if style == "dim" else ""
    ticking = paper.now if state == "running" else None
    spent = elapsed(task.started_at, task.finished_at, ticking)
    note: List[Span]
    if state == "running":
        note = [*shown.cells(task, paper), *_progress_spans(task, paper)]
    else:
        text = paper.clean(describe_task(task, now=paper.now))
        note = [(text, style), (_usage_text(task, paper), "dim")]
    return paper.line(
        [
            (f"{paper.glyphs.mark('paused' if task.frozen else state)} ", style),
            (label, quiet),
            (f" {spent:>{_ELAPSED}}  ", "yellow" if task.slow else "dim"),
            *note,
        ]
    )


def tail(task: TaskView, paper: Canvas, most: int) -> List[Line]:
    """Draw at most so many of the last lines of a task's log."""
    kept = task.log_tail[-most:] if most > 0 else ()
    margin = f"    {paper.glyphs.tail} "
    return [paper.line([(margin, "red"), (paper.clean(line), "")]) for line in kept]


def fold(counts: Mapping[str, int], paper: Canvas) -> Line:
    """Draw one line for the tasks without a row."""
    return paper.line([(f"{paper.glyphs.ellipsis} {format_counts(counts)}", "dim")])


def stages(found: Sequence[Stage], paper: Canvas) -> List[Line]:
    """Draw stages of the graph, several in one line: a bar, finished tasks, others."""
    names = [f"stage {a}" if a == b else f"stages {a}-{b}" for a, b, _ in found]
    totals = [sum(counts.values()) for _, _, counts in found]
    dones = [_count_finished(counts) for _, _, counts in found]
    widest = max(map(len, names), default=0)
    number = max((len(f"{d}/{n}") for d, n in zip(dones, totals)), default=0)
    lines = []
    for name, done, whole, (_, _, counts) in zip(names, dones, totals, found):
        bar = paper.bar(done / whole if whole else 0.0, 8)
        text = f" {f'{done}/{whole}':<{number}}"
        begin: List[Span] = [(f"  {name:<{widest}}  ", "dim"), *bar, (text, "dim")]
        lines.append(paper.line([*begin, *_count_spans(counts)]))
    return lines


def head(view: RunView, paper: Canvas) -> List[Line]:
    """Draw the name of a run, then the whole run: bar, tasks done, time, counts.

    The name is shortened before the status and the id are.
    """
    state = view.outcome or view.status
    rest = f"  {humanize(state)}  {paper.clean(view.id)}"
    name = paper.crop(paper.clean(view.name), max(paper.width - 2 - cell_len(rest), 8))
    title = [
        *_title(name, state, paper),
        (f"  {humanize(state)}", _STYLES.get(state, "")),
        (f"  {paper.clean(view.id)}", "dim"),
    ]
    bar = 20 if paper.width >= _ROOMY else 8
    whole = [*_run_spans(view, paper, bar), *_count_spans(counts_of(view))]
    return [paper.line(title), paper.line(whole)]


def summary(view: RunView, paper: Canvas, name_cells: int) -> Line:
    """Draw a run in one line, its name in a column of so many cells."""
    state = view.outcome or view.status
    name = paper.pad(paper.clean(view.name), name_cells)
    return paper.line(
        [
            *_title(name, state, paper),
            (f"  {humanize(state):<10}  ", _STYLES.get(state, "")),
            *_run_spans(view, paper, 10),
            (f"  {paper.clean(view.id)}", "dim"),
        ]
    )


def total(views: Sequence[RunView], paper: Canvas) -> Line:
    """Count the runs of a batch by status."""
    counts = Counter(view.outcome or view.status for view in views)
    return paper.line([(f"{len(views)} runs: ", "bold"), (format_counts(counts), "")])


def _title(name: str, state: str, paper: Canvas) -> List[Span]:
    return [(f"{paper.glyphs.mark(state)} ", _STYLES.get(state, "")), (name, "bold")]


def _progress_spans(task: TaskView, paper: Canvas) -> List[Span]:
    """Show the progress message of a running task, or that it runs."""
    unusual = row_notes(task, at_length=paper.width >= _WIDE)
    message = paper.clean(task.progress.message)
    if not message:
        plain = [("running", "")] if task.progress.percent is None else []
        return unusual or plain
    return [*unusual, (": " if unusual else "", ""), (message, "")]


def _usage_text(task: TaskView, paper: Canvas) -> str:
    """Format the resource usage of a finished task."""
    if (
        task.status != "finished"
        or not task.result.max_rss_bytes
        or paper.width < _WIDE
    ):
        return ""
    return f"  cpu {duration(task.result.cpu_s)}, {format_memory(task.result.max_rss_bytes)}"


def _count_finished(counts: Mapping[str, int]) -> int:
    return sum(counts.get(state, 0) for state in OUTCOMES)


def _run_spans(view: RunView, paper: Canvas, bar_cells: int) -> Iterator[Span]:
    done = _count_finished(counts_of(view))
    yield from paper.bar(done / view.total if view.total else 0.0, bar_cells)
    yield f" {done}/{view.total}", "bold"
    spent = elapsed(view.started_at, view.finished_at, paper.now)
    yield f"  {spent}" if spent else "", "dim"
    left = format_eta(view.expected_end, paper.now)
    yield f"  {left}" if left else "", ""


def _count_spans(counts: Mapping[str, int]) -> Iterator[Span]:
    for state in _COUNTED:
        if counts.get(state):
            yield "  ", ""
            yield f"{counts[state]} {humanize(state)}", _STYLES.get(state, "")
