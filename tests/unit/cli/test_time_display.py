"""Times as users write them, in their time zone."""

from __future__ import annotations

import time
from typing import Iterator

import pytest

from provctl.base.timefmt import parse_time

NOON = 1_780_488_000.0  # 2026-06-03T12:00:00Z
DAY = 86_400.0


@pytest.fixture(autouse=True)
def in_madrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours ahead of UTC, as Madrid in summer; without a time zone database."""
    monkeypatch.setenv("TZ", "CET-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "before_now"),
    [
        ("now", 0),
        ("2h", 7200),
        ("-2h", 7200),
        ("90m ago", 5400),
        ("3d", 3 * DAY),
        ("1h30m", 5400),
        ("today", 14 * 3600),
        ("Yesterday", 14 * 3600 + DAY),
        ("14:00", 0),
        ("13:59:30", 30),
        ("2026-06-03", 14 * 3600),
        ("2026-06-03T03:00", 11 * 3600),
        ("2026-06-03 03:00", 11 * 3600),
        ("2026-06-03T03:00:00Z", 9 * 3600),
        ("2026-06-03T03:00:00+05:00", 14 * 3600),
        ("16:00", -7200),
    ],
)
def test_text_is_parsed_as_a_time(text: str, before_now: float) -> None:
    assert parse_time(text, NOON) == NOON - before_now


def test_end_of_a_second_is_included_if_asked() -> None:
    assert parse_time("14:00:00", NOON, end=True) == NOON + 0.999999


@pytest.mark.parametrize(
    "text",
    ["", "soon", "25:00", "2026-13-01", "3600", "2 weeks", "\x1b[2J", "1e9d", "@5"],
)
def test_invalid_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: use an age such as 2h"):
        parse_time(text, NOON)
