"""A command is killed at every system call that changes something, once at each.

Then the state is brought back as a user would do it. A submission is absent or
complete, and complete if it was acknowledged. Each task ran once, and exit codes are
true. By default a sample of the points is tested; `FAULT_POINTS=9999` tests all.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any, Callable

import pytest

from provctl.executors.protocol import MARK
from tests.support.attempts import alive, processes_with
from tests.support.fault_points import sweep
from tests.support.fault_workflow import account, chain, check_whole, serve, told, trace
from tests.support.strace import (
    TRACING,
    Point,
    attached,
    has_injected,
    killing,
    need_strace,
    points_of,
    under,
)
from tests.support.thresholds import bar, evenly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Done, Provctl

Figure = Callable[[str], None]


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


# -- submit ------------------------------------------------------------------------------


def test_case_16_27_submission_killed_anywhere_is_absent_or_complete(
    tmp_path: Path, figure: Figure
) -> None:
    every = points_of(trace(tmp_path, "workflow", "submit"))
    points = evenly(every, bar("FAULT_POINTS", 18))
    ends = Counter(sweep(tmp_path / "points", points, _submission))
    figure(told("case 16, 27: submit killed", points, every, ends))
    # It was felt before the run was there and after.
    assert ends["absent"] > 1, ends
    assert ends["whole"] > 1, ends


def _submission(provctl: Provctl, point: Point) -> str:
    file = chain(provctl)
    done = _killed(provctl, point, "workflow", "submit", file)
    provctl("scheduler", "start")
    check_whole(provctl, done)
    found = provctl.runs()
    # Whatever it left, nobody who submits again is hindered by it.
    provctl("wait", provctl.submit(file), code=10)
    return "whole" if found else "absent"


def test_control_case_16_incomplete_submission_is_found(
    provctl: Provctl,
) -> None:
    done = provctl("workflow", "submit", chain(provctl))
    provctl("wait", done.last_word, code=10)
    check_whole(provctl, done)
    provctl("scheduler", "stop")
    folder = provctl.state / "runs" / done.last_word
    folder.rename(provctl.folder / "lost")
    with pytest.raises(AssertionError, match="lost"):
        check_whole(provctl, done)


# -- start, finish -----------------------------------------------------------------------


def test_case_17_foreground_run_killed_anywhere_runs_each_task_once(
    tmp_path: Path, figure: Figure
) -> None:
    every = points_of(trace(tmp_path, "run"))
    points = evenly(every, bar("FAULT_POINTS", 60))
    ends = Counter(sweep(tmp_path / "points", points, _foreground))
    figure(told("case 17: foreground run of 3 tasks killed", points, every, ends))
    assert ends["absent"] > 1, ends
    assert ends["whole"] > 1, ends


def _foreground(provctl: Provctl, point: Point) -> str:
    done = _killed(provctl, point, "run", chain(provctl))
    check_whole(provctl, done)
    return "whole" if provctl.runs() else "absent"


def test_control_case_17_task_runs_twice_without_the_fence(
    provctl: Provctl,
) -> None:
    slow = {
        "PROVCTL_FAILPOINT_NO_FENCE": "1",
        "PROVCTL_FAILPOINT_SLOW_SHIM_S": "3",
        # A late shim that finds its slots given up would not start either.
        "PROVCTL_FAILPOINT_SLOTS_ALONE": "1",
    }
    after_the_first_order = Point("bind", 1, "the owner's socket")
    done = _killed(provctl, after_the_first_order, "run", chain(provctl), env=slow)
    shims = provctl.processes()
    for pid in shims:
        os.kill(pid, signal.SIGSTOP)
    (run,) = provctl.runs()
    provctl("workflow", "resume", run, code=10)
    for pid in shims:
        os.kill(pid, signal.SIGCONT)
    provctl.until(lambda: not provctl.processes(), "the late shim is done")
    with pytest.raises(AssertionError, match="twice"):
        check_whole(provctl, done)


def test_case_17_scheduler_killed_anywhere_runs_each_task_once(
    tmp_path: Path, figure: Figure
) -> None:
    log = tmp_path / "trace"
    for name in ("warm", "traced"):  # the first one may have to write .pyc files
        provctl = account(tmp_path / "points" / name)
        serve(provctl, under(log, TRACING))
        provctl.kill_everything()
    every = points_of(log)
    points = evenly(every, bar("FAULT_POINTS", 19))
    ends = Counter(sweep(tmp_path / "points", points, _background))
    figure(told("case 17: scheduler killed", points, every, ends))
    assert ends == {"whole": len(points)}, ends


def _background(provctl: Provctl, point: Point) -> str:
    log = provctl.folder / "strace"
    submitted, code = serve(provctl, under(log, killing(point)))
    assert code == -9, "it was not killed"
    assert has_injected(log), "it was killed by somebody else"
    provctl("scheduler", "start")
    check_whole(provctl, submitted)
    return "whole"


# -- cancel ------------------------------------------------------------------------------


def test_case_17_acknowledged_cancel_is_done_after_its_owner_was_killed(
    tmp_path: Path, figure: Figure
) -> None:
    log = tmp_path / "trace"
    provctl = account(tmp_path / "traced")
    try:
        run = _waiting(provctl)
        with attached(provctl.schedulers()[0], log, TRACING):
            provctl("cancel", run)
            provctl("wait", run, code=11)
    finally:
        provctl.kill_everything()
    every = points_of(log)
    points = evenly(every, bar("FAULT_POINTS", 12))
    ends = Counter(sweep(tmp_path / "points", points, _cancel))
    figure(told("case 17: owner killed over a cancel", points, every, ends))
    # The next scheduler is asked, unless what was asked for is in the journal.
    assert ends == {"acknowledged": len(points)}, ends


def _cancel(provctl: Provctl, point: Point) -> str:
    run, log = _waiting(provctl), provctl.folder / "strace"
    (scheduler,) = provctl.schedulers()
    with attached(scheduler, log, killing(point)):
        done = provctl("cancel", run, code=None)
        provctl.until(lambda: not alive(scheduler), f"killed at {point}")
    assert has_injected(log)
    assert done.code == 0, done
    assert any(r["type"] == "cancel_requested" for r in provctl.journal(run))
    provctl("scheduler", "start")  # it may have been killed after that
    provctl("wait", run, code=11)
    assert (provctl.folder / "ran").read_text() == "a\n"
    assert processes_with(f"{MARK}={run}/") == []
    return "acknowledged"


def _waiting(provctl: Provctl) -> str:
    """A run whose only task waits for a file."""
    script = f'echo "$PROVCTL_TASK" >> "{provctl.folder}/ran"; echo ready; '
    script += f'until [ -e "{provctl.folder}/go" ]; do sleep 0.02; done'
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.until_ready(run)
    return run


# -- what all of them do -----------------------------------------------------------------


def _killed(provctl: Provctl, point: Point, *command: object, **how: Any) -> Done:
    log = provctl.folder / "strace"
    done = provctl(*command, code=None, under=under(log, killing(point)), **how)
    assert done.code == -9, f"it was not killed: {done}"
    assert has_injected(log), "it was killed by somebody else"
    return done
