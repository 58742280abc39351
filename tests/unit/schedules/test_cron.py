"""Times of cron expressions, across clock changes and after long gaps."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from itertools import islice, takewhile
from typing import Dict, List

import pytest

from provctl.errors import UsageError
from provctl.schedules.cron import check, latest, times_after

MADRID = "Europe/Madrid"


def at(text: str) -> float:
    """Seconds since the epoch of a time with its offset in hours, "2026-03-29 03:00 +2"."""
    moment, offset = text.rsplit(" ", 1)
    zone = timezone(timedelta(hours=float(offset)))
    return datetime.strptime(moment, "%Y-%m-%d %H:%M").replace(tzinfo=zone).timestamp()


def first(
    expression: str, after: str, zone: str = MADRID, most: int = 3
) -> List[float]:
    return list(islice(times_after(expression, zone, at(after)), most))


# By zone and change: from when to when we look, the offsets before and after, and what
# comes in between by each expression; ">" is the first one with the offset after it.
NEW_YORK, LORD_HOWE, SANTIAGO = (
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
)
CHANGES = {
    (MADRID, "spring"): ("2026-03-29 00:30 +1", "2026-03-29 04:30 +2"),
    (MADRID, "autumn"): ("2026-10-25 00:30 +2", "2026-10-25 04:30 +1"),
    (NEW_YORK, "spring"): ("2026-03-08 00:30 -5", "2026-03-08 04:30 -4"),
    (NEW_YORK, "autumn"): ("2026-11-01 00:30 -4", "2026-11-01 04:30 -5"),
    # Its clock is set by half an hour: 2:00 to 2:30, and 2:00 to 1:30.
    (LORD_HOWE, "spring"): ("2026-10-04 00:30 +10.5", "2026-10-04 04:30 +11"),
    (LORD_HOWE, "autumn"): ("2026-04-05 00:30 +11", "2026-04-05 04:30 +10.5"),
    # Midnight is left out, and 23:00 comes twice.
    (SANTIAGO, "spring"): ("2026-09-05 22:30 -4", "2026-09-06 04:30 -3"),
    (SANTIAGO, "autumn"): ("2026-04-04 22:30 -3", "2026-04-05 04:30 -4"),
}
EVERY_TEN = ["00", "10", "20", "30", "40", "50"]


def tens(*hours: str) -> str:
    return " ".join(f"{hour}:{minute}" for hour in hours for minute in EVERY_TEN)


TIMES = {
    (MADRID, "spring"): {
        "0 */2 * * *": "> 3:00 4:00",
        "*/30 2 * * *": "> 3:00",
        "*/15 2 * * *": "> 3:00",
        "30 2 * * *": "> 3:00",
        "0 * * * *": "1:00 > 3:00 4:00",
        "@hourly": "1:00 > 3:00 4:00",
        "*/10 * * * *": f"0:40 0:50 {tens('1')} > {tens('3')} 4:00 4:10 4:20 4:30",
        "@daily": "",
        "0 2,3 * * *": "> 3:00",
    },
    (MADRID, "autumn"): {
        "0 */2 * * *": "2:00 > 4:00",
        "*/30 2 * * *": "2:00 2:30 >",
        "*/15 2 * * *": "2:00 2:15 2:30 2:45 >",
        "30 2 * * *": "2:30 >",
        "0 * * * *": "1:00 2:00 > 2:00 3:00 4:00",
        "@hourly": "1:00 2:00 > 2:00 3:00 4:00",
        "*/10 * * * *": (
            f"0:40 0:50 {tens('1', '2')} > {tens('2', '3')} 4:00 4:10 4:20 4:30"
        ),
        "@daily": "",
        "0 2,3 * * *": "2:00 > 3:00",
    },
    (NEW_YORK, "spring"): {
        "0 */2 * * *": "> 3:00 4:00",
        "*/30 2 * * *": "> 3:00",
        "*/15 2 * * *": "> 3:00",
        "30 2 * * *": "> 3:00",
        "0 * * * *": "1:00 > 3:00 4:00",
        "@daily": "",
        "0 2,3 * * *": "> 3:00",
    },
    (NEW_YORK, "autumn"): {  # 1:00 comes twice
        "0 */2 * * *": "> 2:00 4:00",
        "*/30 1 * * *": "1:00 1:30 >",
        "*/30 2 * * *": "> 2:00 2:30",
        "0 * * * *": "1:00 > 1:00 2:00 3:00 4:00",
        "*/10 * * * *": (
            f"0:40 0:50 {tens('1')} > {tens('1', '2', '3')} 4:00 4:10 4:20 4:30"
        ),
        "0 1,2 * * *": "1:00 > 2:00",
    },
    (LORD_HOWE, "spring"): {
        "0 */2 * * *": "> 2:30 4:00",
        "*/30 2 * * *": "> 2:30",
        "*/15 2 * * *": "> 2:30 2:45",
        "30 2 * * *": "> 2:30",
        "0 * * * *": "1:00 > 2:30 3:00 4:00",
        "*/10 * * * *": (
            f"0:40 0:50 {tens('1')} > 2:30 2:40 2:50 {tens('3')} 4:00 4:10 4:20 4:30"
        ),
        "0 2,3 * * *": "> 2:30 3:00",
    },
    (LORD_HOWE, "autumn"): {
        "0 */2 * * *": "> 2:00 4:00",
        "45 1 * * *": "1:45 >",
        "*/30 1 * * *": "1:00 1:30 >",
        "30 2 * * *": "> 2:30",
        "0 * * * *": "1:00 > 2:00 3:00 4:00",
        "*/10 * * * *": (
            f"0:40 0:50 {tens('1')} > 1:30 1:40 1:50 {tens('2', '3')} "
            "4:00 4:10 4:20 4:30"
        ),
    },
    (SANTIAGO, "spring"): {
        "@daily": "> 1:00",
        "30 0 * * *": "> 1:00",
        "0 */2 * * *": "> 1:00 2:00 4:00",
        "*/30 2 * * *": "> 2:00 2:30",
        "0 * * * *": "23:00 > 1:00 2:00 3:00 4:00",
        "@hourly": "23:00 > 1:00 2:00 3:00 4:00",
        "0 0 6 9 *": "> 1:00",
    },
    (SANTIAGO, "autumn"): {
        "@daily": "> 0:00",
        "30 23 * * *": "23:30 >",
        "0 */2 * * *": "> 0:00 2:00 4:00",
        "0 * * * *": "23:00 > 23:00 0:00 1:00 2:00 3:00 4:00",
    },
}


@pytest.mark.parametrize(
    ("zone", "change", "expression"),
    [(*key, expression) for key, row in TIMES.items() for expression in row],
)
def test_each_local_time_comes_once_across_clock_changes(
    zone: str, change: str, expression: str
) -> None:
    since, until = (at(text) for text in CHANGES[zone, change])
    offsets = [text.rsplit(" ", 1)[1] for text in CHANGES[zone, change]]
    expected = []
    for offset, times in zip(offsets, TIMES[zone, change][expression].split(">")):
        for each in times.split():
            days = [text.split(" ")[0] for text in CHANGES[zone, change]]
            day = days[0] if each.startswith(("22", "23")) else days[1]
            expected.append(at(f"{day} {each} {offset}"))
    if ">" not in TIMES[zone, change][expression]:
        expected = []
    # Whenever we begin to look, even in between, it is the same.
    for after in (since, since - 86_400, *range(int(since), int(until), 300)):
        found = list(takewhile(until.__ge__, times_after(expression, zone, after)))
        wanted = [time for time in expected if time > after]
        assert [time for time in found if time > since] == wanted


def test_time_skipped_in_spring_comes_directly_afterwards() -> None:
    assert first("30 2 * * *", "2026-03-28 12:00 +1") == [
        at("2026-03-29 03:00 +2"),
        at("2026-03-30 02:30 +2"),
        at("2026-03-31 02:30 +2"),
    ]


def test_time_repeated_in_autumn_comes_once() -> None:
    assert first("30 2 * * *", "2026-10-24 12:00 +2", most=2) == [
        at("2026-10-25 02:30 +2"),
        at("2026-10-26 02:30 +1"),
    ]
    # Also if we begin to look in between.
    assert first("30 2 * * *", "2026-10-25 02:10 +1", most=1) == [
        at("2026-10-26 02:30 +1")
    ]


def test_hourly_expression_comes_every_hour() -> None:
    assert first("0 * * * *", "2026-10-25 01:30 +2") == [
        at("2026-10-25 02:00 +2"),
        at("2026-10-25 02:00 +1"),
        at("2026-10-25 03:00 +1"),
    ]


@pytest.mark.parametrize("cron", ["* * * * *", "0 3 * * *", "0 0 29 2 *"])
def test_search_over_ten_years_finds_the_same_as_a_full_search(cron: str) -> None:
    now = at("2026-11-24 13:00 +1")
    after = now - 10 * 365 * 86_400 if cron != "* * * * *" else now - 3 * 86_400
    every = list(takewhile(now.__ge__, times_after(cron, MADRID, after)))
    assert latest(cron, MADRID, after=after, now=now, most=101) == every[-101:]


def test_given_time_is_not_after_itself() -> None:
    noon = at("2026-11-24 12:00 +1")
    assert latest("0 * * * *", MADRID, after=noon, now=noon + 1, most=9) == []
    assert latest("0 * * * *", MADRID, after=noon - 1, now=noon, most=9) == [noon]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("61 * * * *", "'61' is not a valid minute (0 to 59)"),
        ("0 24 * * *", "'24' is not a valid hour (0 to 23)"),
        ("0 3 32 * *", "'32' is not a valid day of month (1 to 31, or L for the last)"),
        ("0 3 * FOO *", "'FOO' is not a valid month (1 to 12, or JAN to DEC)"),
        ("0 3 * * 8", "'8' is not a valid day of week"),
        ("0 3 30 2 *", "'30' is not a valid day of month"),
        ("0 3 * *", "4 fields instead of five"),
        ("0 0 3 * * *", "6 fields instead of five"),
        ("", "0 fields instead of five"),
        ("@often", "1 fields instead of five"),
    ],
)
def test_mistake_names_its_field(expression: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(expression, "UTC", at("2026-11-24 12:00 +0"))
    assert words in caught.value.message
    assert '"0 3 * * *" is every day at 3:00' in str(caught.value.hint)


def test_names_such_as_daily_are_understood() -> None:
    now = at("2026-11-24 12:00 +0")
    for word, cron in [("@daily", "0 0 * * *"), ("@Hourly", "0 * * * *")]:
        check(word, "UTC", now)
        assert next(times_after(word, "UTC", now)) == next(
            times_after(cron, "UTC", now)
        )


@pytest.mark.parametrize("zone", ["Europe/Madird", "", "../../etc/passwd", "/etc"])
def test_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="time zone"):
        check("0 3 * * *", zone, 0.0)


def zone_said(environ: Dict[str, str]) -> str:
    """The output of a separate process; each process looks for the zone once."""
    script = """
from provctl.errors import UsageError
from provctl.schedules.cron import local_zone
try:
    print(local_zone(1.8e9))
except UsageError as problem:
    print(problem.message, problem.hint)
"""
    command = [sys.executable, "-c", script]
    environ = {**os.environ, **environ}
    return subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, check=True, encoding="utf-8"
    ).stdout.strip()


def test_time_zone_of_the_machine_has_a_name() -> None:
    assert zone_said({"TZ": MADRID}) == MADRID
    assert zone_said({"TZ": ":UTC"}) == "UTC"
    assert "such as Europe/Madrid" in zone_said({"TZ": "XYZ-1:17"})


@pytest.mark.parametrize("cron", ["* * * * ?", "H * * * *", "9" * 5000 + " * * * *"])
def test_unsupported_expression_is_refused_wherever_it_is_read(
    cron: str,
) -> None:
    for read in (
        lambda: check(cron, MADRID, 0.0),
        lambda: next(times_after(cron, MADRID, 0.0)),
        lambda: latest(cron, MADRID, after=0.0, now=9.0, most=1),
    ):
        with pytest.raises(UsageError):
            read()
