"""The Gantt chart of a run: one line per task, one bar per attempt, as SVG."""

from __future__ import annotations

from html import escape
from typing import Dict, List, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.render.graph.layout import COLOURS
from provctl.render.text import duration, sanitize

_LINE, _BAR = 22, 14  # pixels
_NAMES, _PLOT, _MARGIN, _HEAD = 220, 700, 12, 30
_NAME_MAX = 32  # characters
_TICKS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 6 * 3600, 86_400)


@light_dataclass
class Bar:
    """One attempt: seconds from the start of the run, and a state of `COLOURS`."""

    task: str
    start_s: float
    end_s: float
    state: str
    title: str
    is_critical: bool = False


def as_gantt(bars: Sequence[Bar]) -> str:
    """Return the chart as one SVG element; an empty text if there are no bars."""
    if not bars:
        return ""
    rows: Dict[str, int] = {}
    for bar in bars:
        rows.setdefault(bar.task, len(rows))
    whole = max(max(bar.end_s for bar in bars), 1e-3)
    width = _NAMES + _PLOT + 2 * _MARGIN
    height = _HEAD + len(rows) * _LINE + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img" font-family="sans-serif">',
        "<title>Attempts of all tasks over time</title>",
    ]
    lines += _axis(whole, height)
    for task, row in rows.items():
        y = _HEAD + row * _LINE + _BAR
        name = task if len(task) <= _NAME_MAX else "…" + task[-_NAME_MAX + 1 :]
        lines.append(
            f'<text x="{_NAMES - 8}" y="{y}" font-size="12" text-anchor="end">'
            f"{escape(name)}</text>"
        )
    lines += [_bar(bar, rows[bar.task], whole) for bar in bars]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _axis(whole: float, height: int) -> List[str]:
    tick = next((t for t in _TICKS if whole / t <= 10), whole / 10)
    lines = []
    for number in range(int(whole / tick) + 1):
        x = _x(number * tick, whole)
        lines.append(
            f'<line x1="{x:.1f}" y1="{_HEAD - 6}" x2="{x:.1f}" y2="{height - _MARGIN}"'
            ' stroke="#d0d7de"/>'
            f'<text x="{x:.1f}" y="{_HEAD - 12}" font-size="11" fill="#57606a"'
            f' text-anchor="middle">{duration(number * tick)}</text>'
        )
    return lines


def _bar(bar: Bar, row: int, whole: float) -> str:
    fill, stroke = COLOURS.get(bar.state, COLOURS[""])
    x, end = _x(bar.start_s, whole), _x(bar.end_s, whole)
    y = _HEAD + row * _LINE + 3
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{max(end - x, 2):.1f}" height="{_BAR}" rx="3"'
        f' fill="{fill}" stroke="{stroke}" stroke-width="{2.5 if bar.is_critical else 1}">'
        f"<title>{escape(bar.title)}</title></rect>"
    )


def _x(seconds: float, whole: float) -> float:
    return _NAMES + _PLOT * min(max(seconds, 0.0), whole) / whole


_NAME_MAX_IN_TEXT = 24  # characters
_PLOT_MIN = 20


def as_lines(bars: Sequence[Bar], *, width: int, most: int = 40) -> List[str]:
    """Return the chart in lines of `width` columns, for the first `most` tasks.

    A bar is made of `=`, on the critical path of `#`; plain characters, for any
    terminal.
    """
    rows: Dict[str, List[Bar]] = {}
    for bar in bars:
        rows.setdefault(bar.task, []).append(bar)
    if not rows:
        return []
    whole = max(max(bar.end_s for bar in bars), 1e-3)
    names = min(max(map(len, list(rows)[:most])), _NAME_MAX_IN_TEXT)
    plot = max(width - names - 2, _PLOT_MIN)
    head = f"{'0s':<{plot // 2}}{duration(whole):>{plot - plot // 2}}"
    lines = [" " * (names + 2) + head]
    for task, attempts in list(rows.items())[:most]:
        shown = sanitize(task)
        name = shown if len(shown) <= names else "…" + shown[-names + 1 :]
        lines.append(f"{name:<{names}}  {_line(attempts, whole, plot)}".rstrip())
    if len(rows) > most:
        lines.append(f"... and {len(rows) - most} more tasks")
    return lines


def _line(attempts: Sequence[Bar], whole: float, plot: int) -> str:
    cells = [" "] * plot
    for bar in attempts:
        start = min(int(bar.start_s / whole * plot), plot - 1)
        end = max(int(bar.end_s / whole * plot + 0.5), start + 1)
        for place in range(start, min(end, plot)):
            cells[place] = "#" if bar.is_critical else "="
    return "".join(cells)
