"""Owns the chart of a run over time in words: one line a task, for terminals and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Sequence

from provctl.ui.lines import duration, neutralise

if TYPE_CHECKING:
    from provctl.ui.gantt import Bar

__all__ = ["as_lines"]

_NAME_MAX = 24  # characters
_PLOT_MIN = 20


def as_lines(bars: Sequence[Bar], *, width: int, most: int = 40) -> List[str]:
    """Return the chart in lines of `width` columns, for the first `most` tasks.

    A bar is of `=`, on the critical path of `#`; plain characters, for any terminal.
    """
    rows: Dict[str, List[Bar]] = {}
    for bar in bars:
        rows.setdefault(bar.task, []).append(bar)
    if not rows:
        return []
    whole = max(max(bar.end_s for bar in bars), 1e-3)
    names = min(max(map(len, list(rows)[:most])), _NAME_MAX)
    plot = max(width - names - 2, _PLOT_MIN)
    head = f"{'0s':<{plot // 2}}{duration(whole):>{plot - plot // 2}}"
    lines = [" " * (names + 2) + head]
    for task, tries in list(rows.items())[:most]:
        shown = neutralise(task)
        name = shown if len(shown) <= names else "…" + shown[-names + 1 :]
        lines.append(f"{name:<{names}}  {_line(tries, whole, plot)}".rstrip())
    if len(rows) > most:
        lines.append(f"... and {len(rows) - most} more tasks")
    return lines


def _line(tries: Sequence[Bar], whole: float, plot: int) -> str:
    cells = [" "] * plot
    for bar in tries:
        start = min(int(bar.start_s / whole * plot), plot - 1)
        end = max(int(bar.end_s / whole * plot + 0.5), start + 1)
        for place in range(start, min(end, plot)):
            cells[place] = "#" if bar.is_critical else "="
    return "".join(cells)
