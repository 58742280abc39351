"""A submit is killed before its run is queued: the run is incomplete.

It does not wait for a scheduler: nobody got its id, and no process continues it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.api import Api
from tests.support.fault_workflow import trace
from tests.support.strace import (
    Point,
    failing,
    has_injected,
    killing,
    need_strace,
    points_of,
    under,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


@pytest.fixture
def point(tmp_path: Path) -> Point:
    """The point at which a submit creates the queue marker of its run."""
    need_strace()
    made = points_of(trace(tmp_path, "workflow", "submit"), below="/queue/")
    return next(each for each in made if ".submitters" not in str(each))


def _left(provctl: Provctl, point: Point, *, age_s: float = 100) -> str:
    """The remains of a submit that was killed at that point some time ago."""
    log = provctl.folder / "strace"
    file = provctl.file({"a": {"command": ["true"]}})
    before = provctl.runs()
    done = provctl(
        *("workflow", "submit", file), code=None, under=under(log, killing(point))
    )
    assert done.code == -signal.SIGKILL, done
    assert has_injected(log)
    assert done.out == ""
    (run,) = {*provctl.runs()} - {*before}
    assert not (provctl.state / "queue" / run).exists()
    journal = provctl.state / "runs" / run / "journal.jsonl"
    then = journal.stat().st_mtime - age_s
    os.utime(str(journal), (then, then))
    return run


def test_case_16_27_incomplete_run_is_shown_as_such_and_can_be_removed(
    provctl: Provctl, point: Point
) -> None:
    run = _left(provctl, point)
    whole = provctl.submit(provctl.file({"a": {"command": ["true"]}}))
    provctl("wait", whole)
    listed = provctl("workflow", "list", "-o", "json").json()
    assert {each["id"]: each["status"] for each in listed} == {
        run: "incomplete",
        whole: "finished",
    }
    told = provctl.status(run)
    assert (told["status"], told["outcome"], told["owned"]) == (
        *("incomplete", None),
        False,
    )
    for verb in (("workflow", "status", run), ("explain", run)):
        shown = provctl(*verb).out
        assert f"{run}  incomplete" in shown
        assert f"provctl rm {run}" in shown
    doctor = provctl("doctor", code=None).out
    assert f"provctl rm {run}" in doctor
    assert whole not in doctor
    api = Api(provctl.state)
    assert api.get(f"/workflows/{run}").data["status"] == "incomplete"
    (found,) = api.get("/workflows?status=incomplete").data
    assert found["id"] == run
    # A restart brings nothing that nobody was told of, and prune takes no young one.
    provctl("scheduler", "restart")
    provctl("prune", "--older", "30d", "--yes")
    assert provctl.status(run)["status"] == "incomplete"
    provctl("workflow", "rm", run, "--yes")
    assert provctl.runs() == [whole]
    assert "all complete" in provctl("doctor", code=None).out


def test_case_16_27_incomplete_run_can_be_resumed(
    provctl: Provctl, point: Point
) -> None:
    run = _left(provctl, point)
    provctl("workflow", "resume", run)
    assert provctl.status(run)["outcome"] == "succeeded"


def test_control_case_16_27_queued_or_new_run_is_not_incomplete(
    provctl: Provctl, point: Point
) -> None:
    young = _left(provctl, point, age_s=0)
    assert provctl.status(young)["status"] == "queued"
    none = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    file = provctl.file({"a": {"command": ["true"]}})
    queued = provctl.submit(file, env=none)
    journal = provctl.state / "runs" / queued / "journal.jsonl"
    os.utime(str(journal), (0, 0))
    assert provctl.status(queued)["status"] == "queued"
    provctl("workflow", "rm", queued, "--yes", code=41)


def test_case_16_27_suspended_submit_loses_nothing(
    provctl: Provctl, point: Point
) -> None:
    """It is stopped at the points where the others are killed."""
    log = provctl.folder / "strace"
    file = provctl.file({"a": {"command": ["true"]}})
    beneath = under(log, failing(point, "signal=STOP"))
    with provctl.start("workflow", "submit", file, under=beneath) as submit:
        run = provctl.until(provctl.runs, "its run is there")[0]
        provctl.until(lambda: "SIGSTOP" in log.read_text(), "it stands still")
        journal = provctl.state / "runs" / run / "journal.jsonl"
        os.utime(str(journal), (0, 0))
        assert provctl.status(run)["status"] == "queued"
        provctl("workflow", "rm", run, "--yes", code=41)
        for pid in provctl.processes():
            os.kill(pid, signal.SIGCONT)
        out, _ = submit.communicate(timeout=60)
    assert run in out.decode()
    provctl("wait", run)
