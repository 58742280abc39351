"""Catalogue group D, 41 to 50: processes that outlive their task or resist its end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provctl.core.engine.requests import AdoptedReport
from provctl.executors.local.attempt_file import is_frozen
from provctl.nushell.binary import find_nu
from tests.support.attempts import (
    Bench,
    alive,
    children_of,
    marked,
    shim_of,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("when", ["while nobody owns it", "after the next came"])
def test_41_exit_code_of_a_task_is_known_after_the_scheduler_died(
    provctl: Provctl, when: str
) -> None:
    go = provctl.folder / "go"
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done; exit 7'
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.wait_for_text(provctl.log(run), "ready")
    provctl.kill_scheduler()
    if when == "while nobody owns it":
        go.touch()
        record = provctl.state / "runs" / run / "attempts" / "0.1.go"
        provctl.wait_for_text(record, '"exit_code":7')
        provctl("scheduler", "start")
    else:
        provctl("scheduler", "start")
        kinds = [record["type"] for record in provctl.journal(run)]
        assert "attempt_adopted" in kinds
        go.touch()
    provctl("wait", run, code=10)
    assert provctl.task(run, "a")["exit_code"] == 7
    assert provctl.task(run, "a")["attempts"] == 1


def test_42_cancel_kills_a_nushell_job(bench: Bench) -> None:
    nu = find_nu("nu", os.environ["PATH"])
    job = "job spawn { ^sh -c 'echo $$ > child; exec sleep 61' }"
    script = f"{job}; print ready; sleep 1min"
    place = bench.launch(nu, "-n", "--no-std-lib", "-c", script)
    child = bench.folder / "child"
    bench.until(lambda: child.exists() and child.read_text(), "the job runs")
    bench.stop(place)
    assert bench.end_of(place, within_s=30).cause == "stop"
    assert not alive(int(child.read_text()))


def test_42_freeze_suspends_a_nushell_job(bench: Bench) -> None:
    ticks = "echo ready; while :; do echo tick >> ticks; sleep 0.02; done"
    script = f"job spawn {{ ^sh -c '{ticks}' }}; sleep 1min"
    nu = find_nu("nu", os.environ["PATH"])
    place = bench.launch(nu, "-n", "--no-std-lib", "-c", script)
    file = bench.folder / "ticks"
    bench.until(file.exists, "the job runs")
    bench.freeze(place)
    bench.until_frozen(place)
    size = file.stat().st_size
    bench.work(0.3)
    assert file.stat().st_size == size
    bench.thaw(place)
    bench.until(lambda: file.stat().st_size > size, "the job goes on")
    bench.stop(place)
    assert bench.end_of(place, within_s=30).cause == "stop"


def test_43_cancel_kills_a_child_in_its_own_session(bench: Bench) -> None:
    place = bench.shell("setsid -f sh -c 'echo ready; exec sleep 61'; exec sleep 60")
    bench.until_ready(place)
    bench.until(lambda: len(marked(place)) == 2, "both run")
    bench.stop(place)
    assert bench.end_of(place, within_s=30).result.survivors == 1
    assert marked(place) == []


def test_43_control_child_survives_without_the_sweep(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVCTL_FAILPOINT_NO_SWEEP", "1")
    bench.change_owner()
    place = bench.shell("setsid -f sh -c 'echo ready; exec sleep 61'; exec sleep 60")
    bench.until_ready(place)
    bench.until(lambda: len(marked(place)) == 2, "both run")
    bench.stop(place)
    bench.end_of(place)
    (left,) = marked(place)
    os.kill(left, signal.SIGKILL)


def test_44_process_without_the_environment_mark_is_swept(bench: Bench) -> None:
    place = bench.shell("env -i setsid sleep 61 >&- 2>&- & echo $!; sleep 0.2")
    assert bench.end_of(place).result.survivors == 1
    assert not alive(int(bench.log(place)))


def test_44_process_is_found_by_its_log_after_its_shim_was_killed(bench: Bench) -> None:
    child = bench.folder / "child"
    inner = f"echo $$ > {child}; exec sleep 61"
    place = bench.shell(f'env -i setsid sh -c "{inner}" & echo ready; sleep 61')
    bench.until_ready(place)
    pid = int(bench.until(lambda: child.exists() and child.read_text(), "it runs"))
    with place.file("log").open() as reader:  # who only reads is left alone
        os.kill(shim_of(place), signal.SIGKILL)
        assert bench.end_of(place).outcome == "lost"
        assert reader.read()
    wait_until(lambda: not alive(pid), "it is killed")
    wait_until(lambda: not marked(place), "all of it is killed")


def test_45_task_that_ignores_term_is_killed_after_the_grace_time(bench: Bench) -> None:
    # Time enough to come to its trap, on a busy machine too.
    place = bench.shell(_STUBBORN, timeout_s=1.5, grace_s=0.3)
    end = bench.end_of(place, within_s=30)
    assert (end.cause, end.result.signal) == ("timeout", 9)
    assert end.result.finished_at - end.result.started_at > 1.75


def test_45_control_task_lives_during_the_grace_time(bench: Bench) -> None:
    place = bench.shell(_STUBBORN, grace_s=60.0)
    bench.until_ready(place)
    bench.stop(place)
    bench.work(0.5)
    assert place.task not in bench.reports
    bench.stop(place, now=True)
    bench.end_of(place)


def test_46_process_that_nushell_leaves_is_swept_and_counted(bench: Bench) -> None:
    nu = find_nu("nu", os.environ["PATH"])
    script = "^sh -c 'echo begun >&2; sleep 61; echo over >&2' | 5"
    place = bench.launch(nu, "-n", "--no-std-lib", "-c", script)
    end = bench.end_of(place, within_s=30)
    assert end.result.survivors >= 1
    assert "over" not in bench.log(place)


def test_47_child_that_keeps_the_output_open_delays_nothing(bench: Bench) -> None:
    place = bench.shell("sleep 60 & exit 4")
    assert bench.end_of(place, within_s=30).result.exit_code == 4


def test_48_process_with_the_reused_pid_of_a_shim_is_not_signalled(
    bench: Bench,
) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    (task,) = children_of(shim_of(place))
    bench.change_owner()
    assert isinstance(bench.recover(place), AdoptedReport)
    shim = shim_of(place)
    os.kill(shim, signal.SIGKILL)
    assert bench.end_of(place).outcome == "lost"
    wait_until(lambda: not alive(task), "all of it is killed")
    wait_until(lambda: not Path(f"/proc/{shim}").exists(), "its number is free")
    stranger = _stranger(shim)
    try:
        for now in (False, True):
            bench.stop(place, now=now)
            bench.freeze(place)
        bench.work(0.3)
        assert stranger.poll() is None
        # The control: by its number alone it would be hit.
        os.kill(shim, signal.SIGTERM)
        assert stranger.wait(timeout=60) == -signal.SIGTERM
    finally:
        stranger.kill()
        stranger.wait()


def test_49_stopped_task_can_be_cancelled(bench: Bench) -> None:
    place = bench.shell("echo ready; kill -STOP $$; sleep 60", grace_s=60.0)
    bench.until_ready(place)
    (task,) = children_of(shim_of(place))
    wait_until(lambda: "\nState:\tT" in _status(task), "it is stopped")
    bench.stop(place)
    end = bench.end_of(place, within_s=30)
    assert (end.cause, end.result.signal) == ("stop", 15)


def test_49_process_that_stopped_itself_stays_stopped_after_resume(
    bench: Bench,
) -> None:
    place = bench.shell("sleep 61 & kill -STOP $!; echo $!; echo ready; exec sleep 60")
    bench.until_ready(place)
    child = int(bench.log(place).split()[0])
    bench.until(lambda: "\nState:\tT" in _status(child), "it has stopped itself")
    bench.freeze(place)
    bench.until_frozen(place)
    bench.thaw(place)
    bench.until(lambda: not is_frozen(place), "it is thawed")
    assert "\nState:\tT" in _status(child)
    bench.stop(place)
    bench.end_of(place)
    assert not alive(child)


def test_50_thousand_short_tasks_leave_no_zombie(bench: Bench) -> None:
    for _ in range(50):
        places = [bench.shell("true & exit 3") for _ in range(20)]
        assert {bench.end_of(place).result.exit_code for place in places} == {3}
    parents = children_of(os.getpid())
    family = [*parents, *(shim for pid in parents for shim in children_of(pid))]
    family += [pid for shim in family for pid in children_of(shim)]
    wait_until(lambda: all(alive(pid) for pid in family if _status(pid)), "no zombies")


def _stranger(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that has the pid of one that is gone."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    if os.geteuid() != 0:
        pytest.skip("only root may choose the number of a process")
    for _ in range(200):
        last.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "60"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"no process got the number {pid}")


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return ""
