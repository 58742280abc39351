"""Times of expressions: over both changes of the clock, and after a long while."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from itertools import islice, takewhile
from typing import Dict, List

import pytest

from provctl.errors import UsageProblem
from provctl.scheduler.cron import check, latest, times_after

MADRID = "Europe/Madrid"


def at(text: str) -> float:
    """Seconds since the epoch of a time with its offset in hours, "2026-03-29 03:00 +2"."""
    moment, offset = text.rsplit(" ", 1)
    zone = timezone(timedelta(hours=int(offset)))
    return datetime.strptime(moment, "%Y-%m-%d %H:%M").replace(tzinfo=zone).timestamp()


def first(
    expression: str, after: str, zone: str = MADRID, most: int = 3
) -> List[float]:
    return list(islice(times_after(expression, zone, at(after)), most))


def test_a_time_that_is_left_out_in_spring_comes_right_after() -> None:
    assert first("30 2 * * *", "2026-03-28 12:00 +1") == [
        at("2026-03-29 03:00 +2"),
        at("2026-03-30 02:30 +2"),
        at("2026-03-31 02:30 +2"),
    ]


def test_a_time_that_there_is_twice_in_autumn_comes_once() -> None:
    assert first("30 2 * * *", "2026-10-24 12:00 +2", most=2) == [
        at("2026-10-25 02:30 +2"),
        at("2026-10-26 02:30 +1"),
    ]
    # Also if we begin to look in between.
    assert first("30 2 * * *", "2026-10-25 02:10 +1", most=1) == [
        at("2026-10-26 02:30 +1")
    ]


def test_every_hour_is_every_hour() -> None:
    assert first("0 * * * *", "2026-10-25 01:30 +2") == [
        at("2026-10-25 02:00 +2"),
        at("2026-10-25 02:00 +1"),
        at("2026-10-25 03:00 +1"),
    ]


@pytest.mark.parametrize("cron", ["* * * * *", "0 3 * * *", "0 0 29 2 *"])
def test_after_ten_years_it_is_the_same_as_looking_at_all(cron: str) -> None:
    now = at("2026-11-24 13:00 +1")
    after = now - 10 * 365 * 86_400 if cron != "* * * * *" else now - 3 * 86_400
    every = list(takewhile(now.__ge__, times_after(cron, MADRID, after)))
    assert latest(cron, MADRID, after=after, now=now, most=101) == every[-101:]


def test_the_time_itself_is_not_after_it() -> None:
    noon = at("2026-11-24 12:00 +1")
    assert latest("0 * * * *", MADRID, after=noon, now=noon + 1, most=9) == []
    assert latest("0 * * * *", MADRID, after=noon - 1, now=noon, most=9) == [noon]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("61 * * * *", "'61' is no minute (0 to 59)"),
        ("0 24 * * *", "'24' is no hour (0 to 23)"),
        ("0 3 32 * *", "'32' is no day of month (1 to 31, or L for the last)"),
        ("0 3 * FOO *", "'FOO' is no month (1 to 12, or JAN to DEC)"),
        ("0 3 * * 8", "'8' is no day of week"),
        ("0 3 30 2 *", "'30' is no day of month"),
        ("0 3 * *", "4 fields, and there are five"),
        ("0 0 3 * * *", "6 fields, and there are five"),
        ("", "0 fields, and there are five"),
        ("@often", "1 fields, and there are five"),
    ],
)
def test_a_mistake_names_its_field(expression: str, words: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        check(expression, "UTC", at("2026-11-24 12:00 +0"))
    assert words in caught.value.message
    assert '"0 3 * * *" is every day at 3:00' in str(caught.value.hint)


def test_the_usual_words_are_understood() -> None:
    now = at("2026-11-24 12:00 +0")
    for word, cron in [("@daily", "0 0 * * *"), ("@Hourly", "0 * * * *")]:
        check(word, "UTC", now)
        assert next(times_after(word, "UTC", now)) == next(
            times_after(cron, "UTC", now)
        )


@pytest.mark.parametrize("zone", ["Europe/Madird", "", "../../etc/passwd", "/etc"])
def test_a_zone_that_is_none_is_named(zone: str) -> None:
    with pytest.raises(UsageProblem, match="no time zone is called"):
        check("0 3 * * *", zone, 0.0)


def zone_said(environ: Dict[str, str]) -> str:
    """What a process of its own says; the zone is looked for once in each."""
    script = """
from provctl.errors import UsageProblem
from provctl.scheduler.cron import local_zone
try:
    print(local_zone(1.8e9))
except UsageProblem as problem:
    print(problem.message, problem.hint)
"""
    command = [sys.executable, "-c", script]
    environ = {**os.environ, **environ}
    return subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, check=True, encoding="utf-8"
    ).stdout.strip()


def test_the_zone_of_the_machine_has_a_name() -> None:
    assert zone_said({"TZ": MADRID}) == MADRID
    assert zone_said({"TZ": ":UTC"}) == "UTC"
    assert "such as Europe/Madrid" in zone_said({"TZ": "XYZ-1:17"})


@pytest.mark.parametrize("cron", ["* * * * ?", "H * * * *", "9" * 5000 + " * * * *"])
def test_what_another_version_may_know_is_refused_wherever_it_is_read(
    cron: str,
) -> None:
    for read in (
        lambda: check(cron, MADRID, 0.0),
        lambda: next(times_after(cron, MADRID, 0.0)),
        lambda: latest(cron, MADRID, after=0.0, now=9.0, most=1),
    ):
        with pytest.raises(UsageProblem):
            read()
