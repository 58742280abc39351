"""The owner is killed at every system call of a run with a finalizer; it runs once.

It begins after all tasks have ended, whoever owns the run then, and is told the same.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping

import pytest

from tests.support.fault_points import sweep
from tests.support.fault_workflow import account, told
from tests.support.strace import (
    TRACING,
    Point,
    has_injected,
    killing,
    need_strace,
    points_of,
    under,
)
from tests.support.thresholds import bar, evenly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

Figure = Callable[[str], None]

_POINTS = 16  # of the last half, if no other number is given

RAN = ["a", "b", 'f failed ["b"]']


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def released(provctl: Provctl) -> Path:
    """Tasks a and b, of which b fails, and a finalizer f that says what it was told."""
    ran = provctl.folder / "ran"
    tasks: Dict[str, Dict[str, Any]] = {
        name: {"command": ["sh", "-c", f"echo {name} >> '{ran}'; exit {code}"]}
        for name, code in (("a", 0), ("b", 3))
    }
    tasks["b"]["needs"] = ["a"]
    script = f"echo f $PROVCTL_RUN_OUTCOME $PROVCTL_FAILED_TASKS >> '{ran}'"
    more: Dict[str, Any] = {"finally": {"f": {"command": ["sh", "-c", script]}}}
    return provctl.file(tasks, **more)


def check_once(provctl: Provctl) -> None:
    """Each task ran once, the finalizer last; nothing where there is no run."""
    ran = provctl.folder / "ran"
    said = ran.read_text().splitlines() if ran.exists() else []
    most = Counter(line.split()[0] for line in said)
    assert max(most.values(), default=1) == 1, f"twice: {said}"
    assert said == (RAN if provctl.runs() else [])


def test_case_17_a_finalizer_runs_once_wherever_the_owner_is_killed(
    tmp_path: Path, figure: Figure
) -> None:
    log = tmp_path / "trace"
    for name in ("warm", "traced"):  # the first one may have to write .pyc files
        provctl = account(tmp_path / "points" / name)
        provctl("run", released(provctl), code=10, under=under(log, TRACING))
        provctl.kill_everything()
    every = points_of(log)
    points = evenly(_from_the_last_task_on(every), bar("FAULT_POINTS", _POINTS))
    ends = Counter(sweep(tmp_path / "points", points, _killed))
    figure(told("case 17: owner of a finalizer killed", points, every, ends))
    assert ends["taken over"] > 1, ends


def _from_the_last_task_on(points: List[Point]) -> List[Point]:
    """The last half or so, unless all are wanted: before it is what all runs do."""
    return (
        points
        if bar("FAULT_POINTS", _POINTS) > len(points)
        else points[len(points) // 2 :]
    )


def _killed(provctl: Provctl, point: Point) -> str:
    log = provctl.folder / "strace"
    done = provctl(
        "run", released(provctl), code=None, under=under(log, killing(point))
    )
    assert done.code == -9, f"it was not killed: {done}"
    assert has_injected(log), "it was killed by somebody else"
    for run in provctl.runs():
        again = provctl("workflow", "resume", run, code=None)
        assert again.code in (10, 41), again
        provctl("wait", run, code=10)
        finalizer = provctl.task(run, "f")
        assert (finalizer["outcome"], finalizer["attempts"]) == ("succeeded", 1)
        check_once(provctl)
        return "taken over" if again.code == 10 else "over"
    check_once(provctl)
    return "absent"


def test_the_control_without_the_fence_a_finalizer_runs_twice(
    provctl: Provctl,
) -> None:
    slow: Mapping[str, str] = {
        "PROVCTL_FAILPOINT_NO_FENCE": "1",
        "PROVCTL_FAILPOINT_SLOW_SHIM_S": "3",
        # A late shim that finds its slots given up would not start either.
        "PROVCTL_FAILPOINT_SLOTS_ALONE": "1",
    }
    with provctl.start("run", released(provctl), env=slow) as owner:
        provctl.until(lambda: _is_ordered(provctl), "the finalizer is ordered")
        shims = [pid for pid in provctl.processes() if pid != owner.pid]
        for pid in shims:
            os.kill(pid, signal.SIGSTOP)
        owner.kill()
        owner.wait(timeout=60)
    (run,) = provctl.runs()
    provctl("workflow", "resume", run, code=10)
    for pid in shims:
        os.kill(pid, signal.SIGCONT)
    provctl.until(lambda: not provctl.processes(), "the late shim is done")
    with pytest.raises(AssertionError, match="twice"):
        check_once(provctl)


def _is_ordered(provctl: Provctl) -> bool:
    """Whether the finalizer's attempt is recorded, and its shim there."""
    starts = [
        record
        for run in provctl.runs()
        for record in provctl.journal(run)
        if record["type"] == "attempt_started" and record["task"] == "f"
    ]
    return bool(starts) and bool(provctl.processes())
