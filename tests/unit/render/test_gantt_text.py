"""The chart as text: one line per task, as wide as the terminal."""

from __future__ import annotations

from provctl.render.gantt import Bar, as_lines


def bar(task: str, start_s: float, end_s: float, *, critical: bool = False) -> Bar:
    return Bar(task, start_s, end_s, "", "", critical)


def test_bars_start_and_end_at_their_times() -> None:
    lines = as_lines(
        [
            bar("one", 0, 50, critical=True),
            bar("other", 50, 75),
            bar("other", 80, 100),
        ],
        width=27,
    )
    assert lines == [
        "       0s             1m40s",
        "one    ##########",
        "other            ===== ====",
    ]


def test_long_names_and_long_lists_are_shortened() -> None:
    bars = [bar(f"{'x' * 30}{n}\x1b[2J", n, n + 1) for n in range(5)]
    lines = as_lines(bars, width=60, most=3)
    assert len(lines) == 5
    assert all(len(line) <= 60 and "\x1b" not in line for line in lines)
    assert lines[1].startswith("…" + "x" * 20)
    assert lines[-1] == "... and 2 more tasks"


def test_bar_without_duration_is_visible_and_an_empty_chart_is_empty() -> None:
    assert "=" in as_lines([bar("a", 0, 0)], width=40)[1]
    assert "=" in as_lines([bar("a", 0, 9), bar("b", 9, 9)], width=40)[2]
    assert as_lines([], width=40) == []
