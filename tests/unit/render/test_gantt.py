"""The chart over time: one line per task, one bar per attempt."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import List, Tuple

from hypothesis import given
from hypothesis import strategies as st

from provctl.render.gantt import Bar, as_gantt


def rectangles(bars: List[Bar]) -> List[ET.Element]:
    root = ET.fromstring(as_gantt(bars))
    return [each for each in root.iter() if each.tag.endswith("rect")]


def test_attempts_of_a_task_share_one_line() -> None:
    bars = [
        Bar("a", 0, 2, "failed", "a, try 1"),
        Bar("a", 3, 4, "succeeded", "a, try 2"),
        Bar("b", 1, 4, "succeeded", "b", is_critical=True),
    ]
    first, again, other = rectangles(bars)
    assert first.get("y") == again.get("y") != other.get("y")
    assert float(first.get("width", 0)) == 2 * float(again.get("width", 0))
    assert other.get("stroke-width") == "2.5"


def test_empty_chart_is_empty_text() -> None:
    assert as_gantt([]) == ""


SECONDS = st.floats(0, 1e7)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=20))
def test_every_bar_is_inside_the_chart(spans: List[Tuple[float, float]]) -> None:
    bars = [Bar(f"t{n}", a, a + b, "lost", "") for n, (a, b) in enumerate(spans)]
    for each in rectangles(bars):
        x, width = float(each.get("x", 0)), float(each.get("width", 0))
        assert 219 <= x <= 921
        assert x + width <= 924
