"""JUnit XML of runs: its counts, and that its cost grows linearly."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from typing import Callable, List

import pytest

from provctl.render.junit_xml import (
    JUnitFailure,
    JUnitTestCase,
    JUnitTestSuite,
    as_junit,
)


def suites(count: int, cases: int) -> List[JUnitTestSuite]:
    """Runs whose tasks succeed, fail and are skipped, in turn."""
    outcomes = ("succeeded", "failed", "skipped")
    return [
        JUnitTestSuite(
            "w",
            f"r{run}",
            "2026-01-01T00:00:00Z",
            2.5,
            [
                JUnitTestCase(
                    f"t{n}",
                    outcomes[n % 3],
                    1.0,
                    faults=[JUnitFailure("failed", "exit code 1")]
                    if n % 3 == 1
                    else [],
                )
                for n in range(cases)
            ],
        )
        for run in range(count)
    ]


def calls_of(work: Callable[[], object]) -> int:
    """The number of function calls: a measure that a busy machine does not change."""
    calls = 0

    def count(_frame: object, event: str, _of: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def test_report_counts_cases_and_has_the_time_of_the_run() -> None:
    root = ET.fromstring(as_junit(suites(2, 6)))
    numbers = ("tests", "failures", "errors", "time")
    assert [root.get(name) for name in numbers] == ["12", "4", "0", "5.0"]
    for suite in root:
        assert [suite.get(name) for name in numbers] == ["6", "2", "0", "2.5"]
        assert suite.get("skipped") == "2"
        assert len(suite) == 6


@pytest.mark.parametrize(
    "sized",
    [lambda size: suites(1, size), lambda size: suites(size, 1)],
    ids=["cases", "suites"],
)
def test_cost_grows_linearly_with_the_size(
    sized: Callable[[int], List[JUnitTestSuite]],
) -> None:
    as_junit(sized(1))  # what is imported counts once
    small = calls_of(lambda: as_junit(sized(100)))
    large = calls_of(lambda: as_junit(sized(400)))
    assert large < 4.5 * small
