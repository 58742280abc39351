"""An owner dies between an event and its record, and during recovery."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Callable

import pytest

from tests.support.attempts import children_of
from tests.support.fault_workflow import chain, check_whole
from tests.support.strace import (
    TRACING,
    Point,
    has_injected,
    killing,
    need_strace,
    points_of,
    under,
)
from tests.support.thresholds import bar

if TYPE_CHECKING:
    from tests.support.installed import Done, Provctl


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def test_case_20_attempt_is_discarded_after_a_crash_between_fence_and_record(
    provctl: Provctl,
) -> None:
    done = _killed(provctl, Point("sendto", 1, "the order"), "run", chain(provctl))
    (run,) = provctl.runs()
    # Its first write is into the lock, the second tells who owns the run, the third
    # would say that the start is void.
    record = Point("pwrite64", 3, "the record of the fence")
    _killed(provctl, record, "workflow", "resume", run)
    go = provctl.state / "runs" / run / "attempts" / "0.1.go"
    assert go.is_symlink()
    assert "attempt_voided" not in _kinds(provctl, run)
    check_whole(provctl, done)
    assert _kinds(provctl, run).count("attempt_voided") == 1
    assert "task_held" not in _kinds(provctl, run)


def test_case_21_exit_is_recorded_once_after_a_crash_before_its_record(
    provctl: Provctl,
) -> None:
    record = Point("pwrite64", 5, "the end of the first task")
    done = _killed(provctl, record, "run", chain(provctl))
    (run,) = provctl.runs()
    go = provctl.state / "runs" / run / "attempts" / "0.1.go"
    provctl.wait_for_text(go, '"exit_code":0')
    assert "attempt_finished" not in _kinds(provctl, run)
    check_whole(provctl, done)


def test_case_24_repeated_crashes_during_recovery_end(
    provctl: Provctl, figure: Callable[[str], None]
) -> None:
    go, ran = provctl.folder / "go", provctl.folder / "ran"
    script = f'echo a >> "{ran}"; until [ -e "{go}" ]; do sleep 0.02; done; exit 7'
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.start("run", file) as owner:
        provctl.wait_for_text(ran, "a")
        owner.kill()
        owner.communicate()
    (run,) = provctl.runs()
    log = provctl.folder / "trace"
    with provctl.start("workflow", "resume", run, under=under(log, TRACING)) as owner:
        provctl.wait_for_text(log, "listen(")
        (traced,) = children_of(owner.pid)
        os.kill(traced, signal.SIGKILL)
        owner.communicate()
    points = points_of(log, below="/state/")
    crashes = bar("FAULT_CRASHES", 20)
    for number in range(crashes):
        _killed(provctl, points[number % len(points)], "workflow", "resume", run)
    go.touch()
    provctl("workflow", "resume", run, code=10)
    assert ran.read_text() == "a\n"
    assert provctl.task(run, "a")["exit_code"] == 7
    figure(f"case 24: {crashes} crashes in a row at {len(points)} calls of a recovery")


def _killed(provctl: Provctl, point: Point, *command: object) -> Done:
    log = provctl.folder / "strace"
    done = provctl(*command, code=-9, under=under(log, killing(point)))
    assert has_injected(log), done
    return done


def _kinds(provctl: Provctl, run: str) -> list[str]:
    return [record["type"] for record in provctl.journal(run)]
