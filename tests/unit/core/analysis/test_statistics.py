"""Statistics of earlier runs: quantiles, expected ends, slow and regressed tasks."""

from __future__ import annotations

from typing import List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.analysis.statistics import (
    DurationStats,
    PastRun,
    PastTask,
    duration_stats,
    expected_end,
    is_slow,
    quantile,
)

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


def runs(*times: Optional[float], outcome: str = "succeeded") -> List[PastRun]:
    return [
        PastRun(str(n), outcome, n, n, n + (t or 0), {"a": PastTask(outcome, t, 1)})
        for n, t in enumerate(times)
    ]


def test_quantiles_match_the_usual_definition() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert quantile([1, 2, 3, 4], 0.9) == pytest.approx(3.7)
    assert quantile([7], 0.9) == 7


@given(TIMES, st.floats(0, 1))
def test_quantile_lies_between_minimum_and_maximum(
    values: List[float], q: float
) -> None:
    assert min(values) <= quantile(values, q) <= max(values) * (1 + 1e-9)


@given(TIMES)
def test_quantiles_increase(values: List[float]) -> None:
    found = [quantile(values, q / 10) for q in range(11)]
    assert all(b - a >= -1e-6 for a, b in zip(found, found[1:]))


def test_statistics_cover_tasks_and_whole_runs() -> None:
    known = duration_stats(runs(10, 20, 30))
    assert known["a"] == DurationStats(3, 3, 0, 20, 28, 30, regressed=False, attempts=3)
    assert known[""].p50_s == 20


def test_skipped_tasks_do_not_count() -> None:
    skipped = PastTask("skipped")
    failed = PastTask("failed", 500.0, 3)
    well = PastTask("succeeded", 4.0, 2)
    pasts = [
        PastRun(str(n), "succeeded", n, n, n + 1, {"a": task})
        for n, task in enumerate([skipped, failed, well])
    ]
    assert duration_stats(pasts)["a"] == DurationStats(2, 1, 1, 4, 4, 4, attempts=5)
    assert duration_stats(pasts)["a"].success_rate == 0.2
    assert DurationStats().success_rate is None


def test_regressed_task_is_much_slower_than_before() -> None:
    assert duration_stats(runs(10, 11, 10, 12, 10, 30))["a"].regressed
    assert not duration_stats(runs(10, 11, 10, 12, 10, 13))["a"].regressed
    # Of a few runs nothing can be said.
    assert not duration_stats(runs(10, 11, 30))["a"].regressed


def test_slow_task_is_slower_than_usual() -> None:
    usual = DurationStats(9, 9, 0, 10.0, 12.0, 10.0)
    assert is_slow(usual, 15.1)
    assert not is_slow(usual, 14.9)
    assert not is_slow(DurationStats(2, 2, 0, 10.0, 12.0, 10.0), 100.0)
    assert not is_slow(None, 100.0)


USUAL = DurationStats(9, 9, 0, 100.0, 200.0, 100.0)


@pytest.mark.parametrize(
    ("spent", "percent", "whole"),
    [
        (10, None, 100),  # the median
        (150, None, 200),  # past it: the 90th percentile
        (300, None, None),  # longer than ever: nobody knows
        (300, 50, 600),  # unless it says so itself
        (50, 50, 100),
        (10, 2, 100),  # two percent say nothing
        (50, 25, 0.25 * 200 + 0.75 * 100),
    ],
)
def test_end_of_a_task_is_expected_from_history_and_progress(
    spent: float, percent: Optional[float], whole: Optional[float]
) -> None:
    end = expected_end(USUAL, 1000.0, 1000.0 + spent, percent)
    assert end == (None if whole is None else pytest.approx(1000.0 + whole))


def test_end_without_history_is_expected_from_progress_only() -> None:
    assert expected_end(None, 0.0, 30.0) is None
    assert expected_end(None, 0.0, 30.0, 75) == pytest.approx(40.0)
