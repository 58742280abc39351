"""Runs are waited for, watched and cancelled, with and without a scheduler."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl

ID = re.compile(r"[bcdfghjkmnpqrstvwxz][bcdfghjkmnpqrstvwxz2-9]{9}")


def test_cancel_stops_running_and_waiting_tasks(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    done = provctl("workflow", "cancel", run, "--reason", "not needed")
    assert run in done.err
    provctl("wait", run, code=11)
    tasks = provctl.status(run)["tasks"]
    assert [task["outcome"] for task in tasks] == ["cancelled", "cancelled"]
    (request,) = [r for r in provctl.journal(run) if r["type"] == "cancel_requested"]
    assert request["reason"] == "not needed"
    said = provctl("cancel", run, code=41).err
    assert f"nothing to cancel: {run} cancelled" in said


def test_cancel_now_skips_the_grace_time(provctl: Provctl) -> None:
    environ = {"PROVCTL_EXECUTOR_GRACE_SECONDS": "600"}
    run = provctl.submit(provctl.endless("trap '' TERM"), env=environ)
    provctl.until_ready(run)
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


def test_queued_run_can_be_cancelled_without_a_scheduler(provctl: Provctl) -> None:
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    done = provctl("workflow", "submit", provctl.endless(), env=off)
    run = done.last_word
    assert "no scheduler could be reached" in done.err
    assert provctl.schedulers() == []
    assert provctl.status(run)["status"] == "queued"
    provctl("wait", run, code=30, env=off)
    provctl("cancel", run, code=30, env=off)
    provctl("cancel", run)
    provctl("wait", run, code=11)


def test_wait_and_monitor_stop_at_their_timeout(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    for verb in ("wait", "monitor"):
        said = provctl("workflow", verb, run, "--timeout", "0.2", code=124).err
        assert "the run continues" in said
    provctl.until_ready(run)
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


def test_submit_can_wait_for_the_run(provctl: Provctl) -> None:
    done = provctl("workflow", "submit", "--wait", provctl.ends_badly(), code=10)
    assert ID.fullmatch(done.last_word)


def test_monitor_prints_the_outcome(provctl: Provctl) -> None:
    run = provctl.submit(provctl.ends_badly())
    out = provctl("workflow", "monitor", run, code=10).out
    assert f"run {run} (w) started: 3 tasks" in out
    assert "1 failed" in out


def test_reading_verbs_need_no_scheduler(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    provctl("scheduler", "stop")
    assert provctl.schedulers() == []
    assert [row["id"] for row in provctl("ps", "-o", "json").json()] == [run]
    assert provctl.task(run, "a")["reason"] == "still running, but orphaned"
    assert provctl("logs", run, "a").out == "ready\n"
    assert provctl("workflow", "outputs", run).json() == {}
    assert provctl("scheduler", "status", "-o", "json").json()["running"] is False
    assert provctl.schedulers() == []
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


def test_foreground_run_can_be_watched_and_cancelled(provctl: Provctl) -> None:
    with provctl.start("run", provctl.endless()) as owner:
        run = provctl.until(provctl.runs, "there is a run")[0]
        provctl.until_ready(run)
        assert provctl.status(run)["owned"] is True
        provctl("cancel", run)
        assert owner.wait(timeout=60) == 11
    assert provctl.schedulers() == []
