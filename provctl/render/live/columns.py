"""The columns beside a running task: progress, time left, resource usage.

Each cell is understood by itself, so no line is used for titles. Columns that do not
fit are left out, the least important first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence

from rich.cells import cell_len

from provctl.base.light_dataclass import light_dataclass
from provctl.render.text import activity, duration

if TYPE_CHECKING:
    from provctl.core.engine.view import TaskView
    from provctl.render.live.frame import Canvas, Span


_ROOMY = 60  # cells from which a row has room for a bar
_WIDE = 100
_MESSAGE = 20  # cells that are kept for it, but at most half of the room
# Minimum widths, so that the text after a column does not move all the time. In the
# order in which columns are kept: the last one is given up first.
_LEAST = {"percent": 4, "left": 9, "bar": 8, "cpu": 8, "memory": 4, "rate": 7}
_SHOWN = ("bar", "percent", "left", "rate", "cpu", "memory")
_BAR, _WIDE_BAR = 8, 12


@light_dataclass
class Columns:
    """The columns of some rows: their names and widths in cells."""

    widths: Mapping[str, int]

    def cells(self, task: TaskView, paper: Canvas) -> List[Span]:
        """Draw the columns before the message of a running task."""
        texts = _texts(task, paper)
        spans: List[Span] = []
        for name in _SHOWN:
            width = self.widths.get(name)
            if width is None:
                continue
            if name == "bar" and task.progress.percent is not None:
                spans += [*paper.bar(task.progress.percent / 100, width), (" ", "")]
                continue
            style = "" if name in ("percent", "left") else "dim"
            spans.append((f"{texts.get(name, ''):>{width}} ", style))
        return spans


def columns(tasks: Sequence[TaskView], room: int, paper: Canvas) -> Columns:
    """Choose the columns of these rows for so many cells after the names."""
    widths: Dict[str, int] = {}
    message = 0
    for task in tasks:
        if task.status != "running":
            continue
        for name, text in _texts(task, paper).items():
            widths[name] = max(widths.get(name, _LEAST[name]), cell_len(text))
        message = max(message, cell_len(paper.clean(task.progress.message)))
    if "percent" in widths and paper.width >= _ROOMY:
        widths["bar"] = _WIDE_BAR if paper.width >= _WIDE else _BAR
    kept: Dict[str, int] = {}
    left = room - min(message, _MESSAGE, room // 2)
    for name in _LEAST:
        width = widths.get(name)
        if width is not None and width < left:
            kept[name] = width
            left -= width + 1
    return Columns(kept)


def _texts(task: TaskView, paper: Canvas) -> Dict[str, str]:
    """The text of each column that has one."""
    texts: Dict[str, str] = {}
    if task.progress.percent is not None:
        texts["percent"] = f"{int(task.progress.percent)}%"
    left = format_eta(task.expected_end, paper.now)
    if left:
        texts["left"] = left
    if task.rate is not None:
        texts["rate"] = _rate(task.rate, "" if task.progress.whole is not None else "%")
    if task.cpu_percent is not None:
        texts["cpu"] = f"cpu {task.cpu_percent:.0f}%"
    if task.rss_bytes is not None:
        texts["memory"] = format_memory(task.rss_bytes)
    return texts


def format_eta(expected_end: Optional[float], now: float) -> str:
    """Format the expected remaining time; "" if it is unknown.

    In whole seconds, so that the picture changes less often.
    """
    if expected_end is None or expected_end <= now:
        return ""
    return f"~{duration(int(expected_end - now + 1))} left"


def format_memory(size: int) -> str:
    """Format a number of bytes in at most four characters and a unit: 640K, 1.2G."""
    number = size / 1024
    unit = "K"
    for larger in "MGT":
        if number < 1000:
            break
        number, unit = number / 1024, larger
    return f"{number:.1f}{unit}" if number < 10 else f"{number:.0f}{unit}"


def _rate(per_s: float, unit: str) -> str:
    """Format a rate in the unit of time that makes it at least 1."""
    units = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
    seconds, per = next((u for u in units if per_s * u[0] >= 1), units[-1])
    number = per_s * seconds
    text = f"{number:.1f}" if number < 10 else f"{number:.0f}"
    return f"{text}{unit}/{per}"


def row_notes(task: TaskView, *, at_length: bool) -> List[Span]:
    """Name what is unusual about a running task."""
    notes = []
    if activity(task) != "running":
        notes.append(activity(task))
    if task.attempt > 1:
        notes.append(f"attempt {task.attempt}/{max(task.attempts, task.attempt)}")
    if task.slow:
        notes.append("slower than usual" if at_length else "slow")
    return [(", ".join(notes), "yellow")] if notes else []
