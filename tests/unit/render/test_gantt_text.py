"""The chart in words: a line a task, to the width of the terminal."""

from __future__ import annotations

from provctl.render.gantt import Bar, as_lines


def bar(task: str, start_s: float, end_s: float, *, critical: bool = False) -> Bar:
    return Bar(task, start_s, end_s, "", "", critical)


def test_bars_stand_where_they_are_in_time() -> None:
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


def test_whatever_is_too_long_is_cut_and_said() -> None:
    bars = [bar(f"{'x' * 30}{n}\x1b[2J", n, n + 1) for n in range(5)]
    lines = as_lines(bars, width=60, most=3)
    assert len(lines) == 5
    assert all(len(line) <= 60 and "\x1b" not in line for line in lines)
    assert lines[1].startswith("…" + "x" * 20)
    assert lines[-1] == "... and 2 more tasks"


def test_what_took_no_time_is_seen_and_nothing_is_no_chart() -> None:
    assert "=" in as_lines([bar("a", 0, 0)], width=40)[1]
    assert "=" in as_lines([bar("a", 0, 9), bar("b", 9, 9)], width=40)[2]
    assert as_lines([], width=40) == []
