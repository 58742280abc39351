"""How durations are written."""

from __future__ import annotations

from typing import Any

import pytest

from provctl.base.timefmt import parse_duration


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("2d", 172_800.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        (7, 7.0),
        (0.5, 0.5),
    ],
)
def test_duration_is_parsed(written: Any, expected: float) -> None:
    assert parse_duration(written) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written",
    ["", "5x", "s", "-5s", "5 m", "30m1h", "1h1h", "1e3s", True, None, [], "٣s"],
)
def test_other_text_is_refused_with_an_example(written: Any) -> None:
    with pytest.raises(ValueError, match="such as 90s, 5m, 1h30m"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["5", "0", "1.5"])
def test_number_as_text_needs_a_unit(written: str) -> None:
    with pytest.raises(
        ValueError, match=f"needs a unit, such as {written}s or {written}m"
    ):
        parse_duration(written)


@pytest.mark.parametrize("written", ["367d", 1e300, float("inf"), float("nan"), -1])
def test_duration_is_limited(written: Any) -> None:
    with pytest.raises(ValueError, match="from 0 to 366d"):
        parse_duration(written)
