"""What stands beside a running task: progress, time left, use, in columns.

Each cell says by itself what it is, so no line is spent on titles. What the width
does not allow is left out, what matters least first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence

from rich.cells import cell_len

from provctl.base.light_dataclass import light_dataclass
from provctl.render.text import activity, duration

if TYPE_CHECKING:
    from provctl.core.engine.view import TaskView
    from provctl.render.live.frame import Canvas, Span


_ROOMY = 60  # cells from which a row has place for a bar of its own
_WIDE = 100
_MESSAGE = 20  # cells that are kept for it, but half of the room at most
# How wide a column is at least, or what stands behind it would move all the time;
# in the order in which they are given up, the last first.
_LEAST = {"percent": 4, "left": 9, "bar": 8, "cpu": 8, "memory": 4, "rate": 7}
_SHOWN = ("bar", "percent", "left", "rate", "cpu", "memory")
_BAR, _WIDE_BAR = 8, 12


@light_dataclass
class Columns:
    """The columns of some rows: what has one, and how many cells it takes."""

    widths: Mapping[str, int]

    def cells(self, task: TaskView, paper: Canvas) -> List[Span]:
        """Draw what stands before the message of a running task."""
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
    """Choose the columns of these rows when behind the names are so many cells."""
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
    """What there is to say, by column."""
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
    """Say how long something is expected to go on; "" if there is no telling.

    In whole seconds, for a calm picture.
    """
    if expected_end is None or expected_end <= now:
        return ""
    return f"~{duration(int(expected_end - now + 1))} left"


def format_memory(size: int) -> str:
    """Say a number of bytes in at most four characters and a unit: 640K, 1.2G."""
    number = size / 1024
    unit = "K"
    for larger in "MGT":
        if number < 1000:
            break
        number, unit = number / 1024, larger
    return f"{number:.1f}{unit}" if number < 10 else f"{number:.0f}{unit}"


def _rate(per_s: float, unit: str) -> str:
    """Say how fast something goes, in the unit of time that makes it a number."""
    units = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
    seconds, per = next((u for u in units if per_s * u[0] >= 1), units[-1])
    number = per_s * seconds
    said = f"{number:.1f}" if number < 10 else f"{number:.0f}"
    return f"{said}{unit}/{per}"


def row_notes(task: TaskView, *, at_length: bool) -> List[Span]:
    """Say what is out of the ordinary about a running task."""
    said = []
    if activity(task) != "running":
        said.append(activity(task))
    if task.attempt > 1:
        said.append(f"attempt {task.attempt}/{max(task.attempts, task.attempt)}")
    if task.slow:
        said.append("slower than usual" if at_length else "slow")
    return [(", ".join(said), "yellow")] if said else []
