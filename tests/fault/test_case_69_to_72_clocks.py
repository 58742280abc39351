"""The clock of the machine or its boot id changes."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Dict

import pytest

from provctl.scheduler.clock import Clock
from provctl.storage.layout import StateDir
from tests.support.clocks import SetClock
from tests.support.run_folders import submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from tests.support.installed import Provctl

DAY, YEAR = 86_400, 365 * 86_400


@pytest.fixture
def clock(provctl: Provctl) -> SetClock:
    """A clock that can be set."""
    return SetClock(provctl)


@pytest.mark.parametrize("jump", [-DAY, YEAR])
def test_69_clock_jump_ends_and_delays_nothing(
    provctl: Provctl, clock: SetClock, jump: int
) -> None:
    go, again = provctl.folder / "go", provctl.folder / "again"
    wait = f'echo ready; until [ -e "{go}" ]; do sleep 0.05; done'
    flaky = f'[ -e "{again}" ] || {{ touch "{again}"; exit 1; }}'
    inner = {"timeout": "1h", "tasks": {"x": _sh(wait)}}
    tasks = {
        "a": {**_sh(wait), "timeout": "1h"},
        "g": {"workflow": inner},
        "b": {
            **_sh(flaky),
            "needs": ["a"],
            "retry": {"attempts": 2, "delay": "2s"},
        },
    }
    provctl("scheduler", "start", env=clock.env)
    run = provctl.submit(provctl.file(tasks, timeout="2h"))
    provctl.until_ready(run)
    clock.set(jump)
    time.sleep(0.3)
    before = time.monotonic()
    go.touch()
    provctl("wait", run)
    assert time.monotonic() - before >= 2
    records = provctl.journal(run)
    assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
    times = [r["at"] for r in records[1:]]
    assert times == sorted(times)
    # The control: the scheduler does see another day when it tells of the end.
    log = provctl.wait_for_text(provctl.state / "scheduler" / "log", f"run {run}: ")
    there = time.gmtime(Clock().now() + jump)
    assert log.splitlines()[-1].startswith(time.strftime("%Y-%m-%d", there)), log


@pytest.mark.parametrize("jump", [-DAY, YEAR])
def test_69_retry_starts_although_the_clock_jumped_between_owners(
    provctl: Provctl, clock: SetClock, jump: int
) -> None:
    again = provctl.folder / "again"
    flaky = f'[ -e "{again}" ] || {{ touch "{again}"; exit 1; }}'
    tasks = {"b": {**_sh(flaky), "retry": {"attempts": 2, "delay": "3s"}}}
    provctl("scheduler", "start", env=clock.env)
    run = provctl.submit(provctl.file(tasks))
    provctl.until(lambda: "retry_at" in str(provctl.journal(run)), "it waits")
    provctl.kill_scheduler()
    clock.set(jump)
    provctl("scheduler", "start", env=clock.env)
    provctl("wait", run)


@pytest.mark.parametrize("whose", ["run", "group"])
def test_69_deadline_passes_although_the_clock_was_set_back_between_owners(
    provctl: Provctl, clock: SetClock, whose: str
) -> None:
    endless = {"a": _sh("echo ready; exec sleep 60")}
    provctl("scheduler", "start", env=clock.env)
    if whose == "run":
        file = provctl.file(endless, timeout="5s")
    else:
        file = provctl.file({"g": {"workflow": {"tasks": endless, "timeout": "5s"}}})
    run = provctl.submit(file)
    provctl.wait_for_text(provctl.log(run, int(whose == "group")), "ready")
    provctl.kill_scheduler()
    clock.set(-DAY)
    provctl("scheduler", "start", env=clock.env)
    assert provctl("wait", run, code=None).code in (10, 12)


def test_70_owner_with_another_monotonic_clock_adopts_tasks(provctl: Provctl) -> None:
    there = ["unshare", "--time", "--fork", "--monotonic", "900000", "--boottime"]
    there.append("900000")
    now = "import time; print(time.monotonic())"
    asked = subprocess.run([*there, sys.executable, "-c", now], capture_output=True)
    if asked.returncode:
        pytest.skip(f"no time namespace may be made here: {asked.stderr.decode()}")
    assert float(asked.stdout) - time.monotonic() > 800_000  # the control
    go = provctl.folder / "go"
    wait = f'echo ready; until [ -e "{go}" ]; do sleep 0.05; done; exit 7'
    retry = {"attempts": 2, "delay": "1s"}
    tasks = {
        "a": {**_sh(wait), "timeout": "1h"},
        "b": {**_sh("exit 1"), "retry": retry},
    }
    run = provctl.submit(provctl.file(tasks, timeout="1h"))
    provctl.until_ready(run)
    provctl.kill_scheduler()
    start = [*there, provctl.program, "scheduler", "start"]
    subprocess.run(start, env=provctl.environ, check=True, capture_output=True)
    go.touch()
    provctl("wait", run, code=10)
    assert provctl.task(run, "a")["exit_code"] == 7
    kinds = [record["type"] for record in provctl.journal(run)]
    assert "attempt_adopted" in kinds
    for record in provctl.journal(run):
        if record["type"] == "attempt_finished":
            assert 0 <= record["finished_at"] - record["started_at"] < 60, record
            assert abs(record["finished_at"] - Clock().now()) < 120, record


@pytest.mark.parametrize("boot", ["same", "another"])
def test_71_task_of_another_boot_is_interrupted_and_of_this_boot_lost(
    provctl: Provctl, boot: str
) -> None:
    ran = provctl.folder / "ran"
    run = provctl.submit(
        provctl.file({"a": _sh(f'echo x >> "{ran}"; echo ready; exec sleep 60')})
    )
    provctl.until_ready(run)
    provctl.kill_everything()
    env = {"PROVCTL_FAILPOINT_BOOT_ID": "another"} if boot == "another" else {}
    provctl("scheduler", "start", env=env)
    provctl("wait", run, code=13)
    (held,) = [r for r in provctl.journal(run) if r["type"] == "task_held"]
    assert held["outcome"] == ("interrupted" if boot == "another" else "lost")
    assert ran.read_text() == "x\n"
    provctl("workflow", "resume", run, "--rerun", "a")
    provctl.until(lambda: ran.read_text() == "x\nx\n", "it is tried again")
    provctl("cancel", run, "--now")


# 2024-03-10 07:00 UTC is when New York's clocks go forward; 2**31 is in 2038.
TIMES = [1_710_054_000.0, 2.0**31 + 0.5, 4e9, 1e11, 1e15, 0.0, -1.0]


@pytest.mark.parametrize("at", TIMES)
@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "nowhere/at-all"])
def test_72_times_are_used_for_display_only(
    provctl: Provctl, at: float, zone: str
) -> None:
    folder = StateDir(provctl.state)
    folder.prepare()
    submit(folder, a_workflow(task("a")), run="bcd", at=at)
    for args in (("ps",), ("workflow", "status", "bcd"), ("ps", "-o", "json")):
        provctl(*args, env={"TZ": zone})
    provctl("workflow", "resume", "bcd", env={"TZ": zone})
    told: Dict[str, Any] = provctl.status("bcd")
    assert told["outcome"] == "succeeded"
    provctl("workflow", "status", "bcd", env={"TZ": zone})


def _sh(script: str) -> Dict[str, Any]:
    return {"command": ["sh", "-c", script]}
