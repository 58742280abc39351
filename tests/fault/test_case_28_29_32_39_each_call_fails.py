"""Each system call that changes the state directory fails, one after another.

The disk is full (ENOSPC), broken (EIO), or writes nothing, the extreme of a short
write; for partial writes see case 29 below. Only true results are acknowledged, no
task is killed or repeated, and its exit is kept. By default a sample of the points is
tested; `FAULT_POINTS=9999` tests all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, List

import pytest

from tests.support.fault_points import sweep
from tests.support.fault_workflow import account, chain, check_whole, serve, told, trace
from tests.support.strace import (
    TRACING,
    Point,
    failing,
    has_injected,
    need_strace,
    points_of,
    under,
)
from tests.support.thresholds import bar, evenly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Done, Provctl

Figure = Callable[[str], None]

_FAULTS = ("error=ENOSPC", "error=EIO", "retval=0")
_FULL = 32  # the exit code for a state directory that cannot be used


@dataclass(frozen=True)
class Fault:
    """How a call fails: `how` is what strace returns instead of the kernel."""

    point: Point
    how: str

    def __str__(self) -> str:
        return f"{self.how} instead of {self.point}"


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def test_case_28_32_39_submission_is_acknowledged_only_if_complete(
    tmp_path: Path, figure: Figure
) -> None:
    every = _faults(trace(tmp_path, "workflow", "submit"))
    faults = evenly(every, bar("FAULT_POINTS", 24))
    ends = Counter(sweep(tmp_path / "points", faults, _submission))
    figure(told("case 28, 29, 32, 39: submit met a fault", faults, every, ends))
    assert ends["refused"] > 1, ends
    assert ends["acknowledged"] > 1, ends


def _submission(provctl: Provctl, fault: Fault) -> str:
    done = _failed(provctl, fault, "workflow", "submit", chain(provctl))
    assert done.code in (0, _FULL), done
    assert (done.code == 0) == ("submitted: " in done.out), done
    if fault.how == "retval=0":
        assert done.code == 0, "a short write was not gone on with"
    provctl("scheduler", "start")
    check_whole(provctl, done)
    return "refused" if done.code else "acknowledged"


def test_case_28_32_39_foreground_run_continues_or_can_be_resumed(
    tmp_path: Path, figure: Figure
) -> None:
    every = _faults(trace(tmp_path, "run"))
    faults = evenly(every, bar("FAULT_POINTS", 36))
    ends = Counter(sweep(tmp_path / "points", faults, _foreground))
    figure(told("case 28, 29, 32, 39: foreground run met a fault", faults, every, ends))
    assert ends["stopped"] > 1, ends
    assert ends["went on"] > 1, ends


def _foreground(provctl: Provctl, fault: Fault) -> str:
    done = _failed(provctl, fault, "run", chain(provctl))
    assert done.code in (10, _FULL), done
    if fault.how == "retval=0":
        assert done.code == 10, "a short write was not gone on with"
    check_whole(provctl, done)
    return "stopped" if done.code == _FULL else "went on"


def test_case_28_32_39_scheduler_releases_runs_it_cannot_record(
    tmp_path: Path, figure: Figure
) -> None:
    log = tmp_path / "trace"
    for name in ("warm", "traced"):  # the first one may have to write .pyc files
        provctl = account(tmp_path / "points" / name)
        serve(provctl, under(log, TRACING))
        provctl.kill_everything()
    # Its threads share work, so that it may open one file less: not so many as this.
    last = max(f.point.when for f in _faults(log) if f.point.call == "openat")
    every = [fault for fault in _faults(log) if fault.point.when < last]
    faults = evenly(every, bar("FAULT_POINTS", 24))
    ends = Counter(sweep(tmp_path / "points", faults, _background))
    figure(told("case 28, 29, 32, 39: scheduler met a fault", faults, every, ends))
    assert ends["given up and taken again"] > 1, ends
    assert ends["went on"] > 1, ends


def _background(provctl: Provctl, fault: Fault) -> str:
    log = provctl.folder / "strace"
    submitted, code = serve(provctl, under(log, failing(fault.point, fault.how)))
    assert has_injected(log), "it did not come so far"
    assert code in (0, _FULL), (provctl.folder / "said").read_text()
    ended = any(
        r["type"] == "run_finished" for r in provctl.journal(submitted.last_word)
    )
    provctl("scheduler", "start")
    check_whole(provctl, submitted)
    return "went on" if ended else "given up and taken again"


# -- the supervisor of an attempt --------------------------------------------------------


# -- what all of them do -----------------------------------------------------------------


def _faults(log: Path) -> List[Fault]:
    """Each call about a file of the state directory, with each way to fail."""
    return [
        Fault(point, how)
        for point in points_of(log, below="/state/")
        for how in _FAULTS
        if how != "retval=0" or "write" in point.call
    ]


def _failed(provctl: Provctl, fault: Fault, *command: object) -> Done:
    log = provctl.folder / "strace"
    done = provctl(
        *command, code=None, under=under(log, failing(fault.point, fault.how))
    )
    assert has_injected(log), f"it did not come so far: {done}"
    return done
