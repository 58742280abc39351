"""`schedule add` is killed anywhere: an acknowledged schedule is on disk, complete."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Callable, List

import pytest

from tests.support.fault_points import sweep
from tests.support.installed import Provctl
from tests.support.strace import (
    TRACING,
    Point,
    killing,
    need_strace,
    points_of,
    under,
)

if TYPE_CHECKING:
    from pathlib import Path

NEVER = ("--cron", "0 0 29 2 *")


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def _added(provctl: Provctl, options: tuple[str, ...], log: Path, code: int) -> str:
    file = provctl.file({"a": {"command": ["true"]}})
    command = ("schedule", "add", file, "--name", "s", *NEVER)
    return provctl(*command, under=under(log, options), code=code).out


def test_acknowledged_schedule_is_on_disk(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    log = provctl.folder / "trace"
    calls = "fsync,rename,renameat,renameat2,write"
    _added(provctl, ("-y", "-s", "64", "-e", f"trace={calls}"), log, 0)
    lines = log.read_text(errors="replace").splitlines()
    place = f"{provctl.state}/schedules"
    steps = [
        _first(lines, rf"fsync\(\d+<{provctl.state}>\)"),
        _first(lines, rf"fsync\(\d+<{place}/\.s\.json-\d+>\)"),
        _first(lines, rf'rename\w*\(.*\.s\.json-\d+", .*{place}/s\.json"'),
        _first(lines, rf"fsync\(\d+<{place}>\)"),
        _first(lines, r"write\(1<.*Schedule added: s"),
    ]
    assert steps == sorted(steps), [lines[step] for step in steps]


def test_schedule_add_killed_anywhere_leaves_nothing_or_a_complete_schedule(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    points: List[Point] = []
    # The first time Python may write what it compiled, which is other calls.
    for name in ("warm", "traced"):
        (tmp_path / name).mkdir()
        traced = Provctl(tmp_path / name)
        try:
            log = traced.folder / "trace"
            _added(traced, TRACING, log, 0)
            points = points_of(log, below="/state/schedules")
        finally:
            traced.end()
    ends = Counter(sweep(tmp_path / "points", points, _addition))
    figure(f"schedule add killed at {len(points)} points: {dict(ends)}")
    assert ends["absent"] > 1, ends
    assert ends["whole"] >= 1, ends


def _addition(provctl: Provctl, point: Point) -> str:
    said = _added(provctl, killing(point), provctl.folder / "strace", -9)
    rows = provctl("schedule", "list", "-o", "json").json()
    assert [row["name"] for row in rows if "damage" not in row] in ([], ["s"])
    assert rows or not said
    # Whatever it left, nobody who adds it again is hindered by it.
    file = provctl.file({"a": {"command": ["true"]}})
    again = ("schedule", "add", file, "--name", "s", *NEVER)
    provctl(*again, code=41 if rows else 0)
    provctl("schedule", "rm", "s", "--yes")
    provctl(*again)
    left = sorted(path.name for path in (provctl.state / "schedules").iterdir())
    assert left == [".lock", "s.json"]
    return "whole" if rows else "absent"


def _first(lines: List[str], pattern: str) -> int:
    found = [number for number, line in enumerate(lines) if re.search(pattern, line)]
    assert found, f"{pattern} is nowhere in\n" + "\n".join(lines)
    return found[0]
