"""Process trees: what a task leaves, and what must not disturb it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Iterator, List

import pytest

from provctl.core.engine.requests import (
    AdoptedReport,
    ExitedReport,
    NeverStartedReport,
    UnknownReport,
)
from provctl.errors import StateDirError
from provctl.executors.local.attempt_file import is_frozen
from provctl.executors.local.executor import LocalExecutor
from tests.support.attempts import (
    Bench,
    alive,
    children_of,
    command_of,
    marked,
    shim_of,
    wait_until,
)
from tests.support.resource_limits import no_descriptor_free, no_thread_free
from tests.support.run_folders import disk_full_beyond

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef

LEAVES_BEHIND = {
    "background": "sleep 61 & echo $!",
    "nohup": "nohup sleep 61 & echo $!",
    "own session": "setsid sleep 61 & echo $!",
    "grandchild": "(setsid sh -c 'sleep 61 & echo $!; exec sleep 61' &)",
    "stopped": "sleep 61 & echo $!; kill -STOP $!",
}


# Its log, which it writes to, has the number of what it leaves behind.
UNTIL_SAID = "until [ -s /proc/$$/fd/1 ]; do sleep 0.01; done"


@pytest.mark.parametrize("how", LEAVES_BEHIND)
def test_leftover_processes_are_killed_and_counted(bench: Bench, how: str) -> None:
    place = bench.shell(f"{LEAVES_BEHIND[how]}; {UNTIL_SAID}")
    end = bench.end_of(place)
    assert (end.cause, end.result.exit_code) == ("exit", 0)
    assert end.result.survivors == (2 if how == "grandchild" else 1)
    assert marked(place) == []


@pytest.mark.parametrize("how", LEAVES_BEHIND)
@pytest.mark.parametrize("now", [False, True])
def test_stop_leaves_no_processes(bench: Bench, how: str, now: bool) -> None:
    place = bench.shell(f"{LEAVES_BEHIND[how]}; {UNTIL_SAID}; echo ready; sleep 60")
    bench.until_ready(place)
    bench.stop(place, now=now)
    assert bench.end_of(place, within_s=30).cause == "stop"
    assert marked(place) == []


def pid_in(bench: Bench, place: AttemptRef) -> int:
    return int(bench.log(place).split()[0])


@pytest.mark.parametrize("how", set(LEAVES_BEHIND) - {"stopped"})
@pytest.mark.parametrize("code", [0, 3])
def test_kept_processes_live_on_after_the_task_exits(
    bench: Bench, how: str, code: int
) -> None:
    script = f"{LEAVES_BEHIND[how]}; {UNTIL_SAID}; exit {code}"
    place = bench.shell(script, keep_processes=True)
    end = bench.end_of(place)
    assert (end.cause, end.result.exit_code, end.result.survivors) == ("exit", code, 0)
    pid = pid_in(bench, place)
    assert alive(pid)
    # The next attempts, and what ends them, are no concern of its; nor is a new owner.
    after = bench.shell("setsid sleep 61 & echo ready; sleep 60")
    bench.until_ready(after)
    bench.stop(after, now=True)
    assert bench.end_of(after).cause == "stop"
    bench.change_owner()
    assert bench.recover(place).result.exit_code == code
    assert alive(pid)
    assert marked(after) == []
    for each in marked(place):
        os.kill(each, signal.SIGKILL)


@pytest.mark.parametrize("how", LEAVES_BEHIND)
@pytest.mark.parametrize("end", ["stop", "timeout"])
def test_kept_processes_are_killed_with_a_stopped_task(
    bench: Bench, how: str, end: str
) -> None:
    timeout_s = 60.0 if end == "stop" else 1.0
    script = f"{LEAVES_BEHIND[how]}; {UNTIL_SAID}; echo ready; sleep 60"
    place = bench.shell(script, keep_processes=True, timeout_s=timeout_s)
    bench.until_ready(place)
    if end == "stop":
        bench.stop(place)
    assert bench.end_of(place).cause == end
    assert marked(place) == []


def test_kept_processes_are_killed_if_the_supervisor_dies(bench: Bench) -> None:
    script = "setsid sleep 61 & echo ready; sleep 60"
    place = bench.shell(script, keep_processes=True)
    bench.until_ready(place)
    os.kill(shim_of(place), signal.SIGKILL)
    assert isinstance(bench.end_of(place), UnknownReport)
    wait_until(lambda: not marked(place), "nothing of it lives")


def test_output_of_a_kept_process_is_appended_to_the_log(bench: Bench) -> None:
    later = bench.folder / "later"
    script = f"until [ -e {later} ]; do sleep 0.01; done; echo said; sleep 61"
    place = bench.shell(f"setsid sh -c '{script}' &", keep_processes=True)
    assert bench.end_of(place).result.exit_code == 0
    later.touch()
    wait_until(lambda: bench.log(place) == "said\n", "what it said is in the log")
    wait_until(lambda: len(marked(place)) == 2, "it lives on")
    for pid in marked(place):
        os.kill(pid, signal.SIGKILL)


def test_terminal_multiplexer_can_be_kept(bench: Bench, tmp_path: Path) -> None:
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("there is no tmux")
    server = [tmux, "-S", str(tmp_path / "socket")]
    ended = bench.run(*server, "new-session", "-d", "sleep 600", keep_processes=True)
    assert ended.result.exit_code == 0
    assert subprocess.run([*server, "has-session"], check=False).returncode == 0
    subprocess.run([*server, "kill-server"], check=True)
    # The control: without the field there is none when the task has ended.
    ended = bench.run(*server, "new-session", "-d", "sleep 600")
    assert ended.result.survivors >= 1
    gone = subprocess.run([*server, "has-session"], check=False, stderr=PIPE)
    assert gone.returncode == 1


def test_survivor_that_ignores_term_is_killed_after_the_grace_time(
    bench: Bench,
) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    script = f'setsid sh -c "{stubborn}" & sleep 0.2'
    place = bench.shell(script, grace_s=0.3)
    end = bench.end_of(place, within_s=30)
    assert (end.cause, end.result.exit_code) == ("exit", 0)
    assert end.result.survivors >= 1
    assert marked(place) == []


def test_stop_now_does_not_wait_for_survivors(bench: Bench) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    place = bench.shell(f'setsid sh -c "{stubborn}" & sleep 60', grace_s=60.0)
    bench.until_ready(place)
    bench.stop(place)  # ends the main process; the other one stays
    bench.work(0.3)
    assert place.task not in bench.reports
    bench.stop(place, now=True)
    assert bench.end_of(place, within_s=30).cause == "stop"
    assert marked(place) == []


def test_task_inherits_no_files_and_no_signals(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    (task,) = children_of(shim_of(place))
    log = str(place.file("log"))
    assert _open_files(task) == {"0": "/dev/null", "1": log, "2": log}
    status = dict(line.split(":\t", 1) for line in _status(task).splitlines())
    assert status["SigBlk"] == "0" * 16
    assert int(status["SigIgn"], 16) & 0x7FFF_FFFF == 0  # those that have a name
    assert os.getsid(task) == os.getpgid(task) == task
    bench.stop(place, now=True)
    bench.end_of(place)


def test_shim_keeps_no_files_of_its_owner(bench: Bench) -> None:
    places = [bench.shell("echo ready; exec sleep 60") for _ in range(2)]
    bench.until_ready(*places)
    for place in places:
        files = _open_files(shim_of(place))
        sockets = [name for name in files.values() if name.startswith("socket:")]
        assert len(sockets) == 1, files
        assert {files["0"], files["1"], files["2"]} == {"/dev/null"}
        bench.stop(place, now=True)
        bench.end_of(place)


def test_three_hundred_tasks_leave_no_files_and_no_processes(bench: Bench) -> None:
    assert bench.run("true").result.exit_code == 0
    parent = _parent()
    files = len(_open_files(parent)), len(_open_files(os.getpid()))
    for _ in range(30):
        places = [bench.shell("exit 3") for _ in range(10)]
        assert {bench.end_of(place).result.exit_code for place in places} == {3}
    wait_until(lambda: len(children_of(parent)) <= 5, "shims without work end")
    shims = children_of(parent)
    assert [pid for pid in shims if children_of(pid)] == []
    assert len(_open_files(os.getpid())) == files[1]
    assert len(_open_files(parent)) <= files[0] + len(shims)
    zombies = [pid for pid in children_of(os.getpid()) if not alive(pid)]
    assert zombies == []
    endings = {path.suffix for path in bench.folder.iterdir()}
    assert endings == {".go", ".log"}


def test_killed_shim_makes_the_attempt_lost_and_its_processes_are_killed(
    bench: Bench,
) -> None:
    place = bench.shell("sleep 61 & setsid sleep 61 & echo ready; sleep 61")
    bench.until_ready(place)
    os.kill(shim_of(place), signal.SIGKILL)
    end = bench.end_of(place)
    assert isinstance(end, UnknownReport)
    assert end.outcome == "lost"
    assert "killed" in end.reason
    wait_until(lambda: not marked(place), "all of it is killed")
    assert bench.run("true").result.exit_code == 0


def test_killed_shim_of_an_adopted_task_makes_the_attempt_lost(bench: Bench) -> None:
    place = bench.shell("echo ready; sleep 61")
    bench.until_ready(place)
    bench.change_owner()
    assert isinstance(bench.recover(place), AdoptedReport)
    os.kill(shim_of(place), signal.SIGKILL)
    assert bench.end_of(place).outcome == "lost"
    wait_until(lambda: not marked(place), "all of it is killed")


def test_shim_killed_before_the_next_owner_makes_the_attempt_lost(bench: Bench) -> None:
    place = bench.shell("echo ready; sleep 61")
    bench.until_ready(place)
    bench.executor.close()
    os.kill(shim_of(place), signal.SIGKILL)
    bench.change_owner()
    wait_until(lambda: not alive(shim_of(place)), "the shim is gone")
    assert bench.recover(place).outcome == "lost"
    wait_until(lambda: not marked(place), "all of it is killed")


def test_stop_after_the_shim_was_killed_signals_no_other_process(bench: Bench) -> None:
    place = bench.shell("echo ready; sleep 61")
    other = bench.shell("echo ready; sleep 0.5; exit 6")
    bench.until_ready(place, other)
    parent = _parent()
    os.kill(parent, signal.SIGSTOP)  # hears of the death and of the stop together
    os.kill(shim_of(place), signal.SIGKILL)
    bench.stop(place)
    os.kill(parent, signal.SIGCONT)
    assert bench.end_of(place).outcome == "lost"
    assert bench.end_of(other).result.exit_code == 6
    assert _parent() == parent


def test_killed_parent_of_shims_affects_no_task(bench: Bench) -> None:
    places = [bench.shell(f"echo ready; sleep 0.5; exit {code}") for code in (3, 4, 5)]
    bench.until_ready(*places)
    parent = _parent()
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not alive(parent), "the parent is gone")
    late = bench.shell("exit 6")  # given to a parent that is no more
    later = bench.do(lambda: bench.launch("true"))
    assert [bench.end_of(place).result.exit_code for place in places] == [3, 4, 5]
    assert bench.run("true").result.exit_code == 0
    for order in (late, later):
        # Lost on the way, it is void, and its owner decides it again.
        assert isinstance(bench.end_of(order), (ExitedReport, NeverStartedReport))


def test_task_of_a_killed_parent_of_shims_can_be_stopped(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    parent = _parent()
    os.kill(parent, signal.SIGKILL)
    bench.until(lambda: _parents() not in ([], [parent]), "there is another parent")
    bench.stop(place)
    assert bench.end_of(place, within_s=30).cause == "stop"


@pytest.fixture
def stopped_parent(bench: Bench) -> Iterator[threading.Timer]:
    """The parent of shims reads nothing during this time; 10 seconds at most."""
    assert bench.run("true").result.exit_code == 0
    parent = _parent()
    os.kill(parent, signal.SIGSTOP)
    end = threading.Timer(10, os.kill, (parent, signal.SIGCONT))
    end.start()
    try:
        yield end
    finally:
        end.cancel()
        with suppress(ProcessLookupError):  # its owner has let go of it
            os.kill(parent, signal.SIGCONT)


# More than the socket to the parent takes in.
_MUCH = {f"LARGE_{number}": "x" * 100_000 for number in range(8)}


def test_owner_does_not_wait_for_a_busy_parent_of_shims(
    bench: Bench, stopped_parent: threading.Timer
) -> None:
    places = [bench.do(lambda: bench.launch("true", env=_MUCH)) for _ in range(4)]
    bench.stop(places[0])
    assert stopped_parent.is_alive(), "the owner waited"
    assert isinstance(bench.end_of(places[0]), NeverStartedReport)
    os.kill(_parent(), signal.SIGCONT)
    assert {bench.end_of(place).result.exit_code for place in places[1:]} == {0}


def test_orders_unread_by_a_busy_parent_are_not_lost_at_close(
    bench: Bench, stopped_parent: threading.Timer
) -> None:
    places = [bench.do(lambda: bench.launch("true", env=_MUCH)) for _ in range(4)]
    assert stopped_parent.is_alive(), "the owner waited"
    threading.Timer(0.1, os.kill, (_parent(), signal.SIGCONT)).start()
    bench.change_owner()
    wait_until(lambda: all(place.file("go").exists() for place in places), "all begin")
    for place in places:
        found = bench.recover(place)
        if isinstance(found, AdoptedReport):
            found = bench.end_of(place)
        assert found.result.exit_code == 0


def _twelve_at_once(bench: Bench, go: str) -> List[int]:
    """Run twelve attempts at once; return their shims."""
    file = bench.folder / go
    script = f"echo ready; until [ -e {file} ]; do sleep 0.02; done"
    places = [bench.shell(script) for _ in range(12)]
    bench.until_ready(*places)
    shims = [shim_of(place) for place in places]
    file.touch()
    for place in places:
        bench.end_of(place)
    return sorted(shims)


def test_idle_shims_are_reused(bench: Bench) -> None:
    first = _twelve_at_once(bench, "one")
    assert _twelve_at_once(bench, "two") == first


def test_most_idle_shims_end_after_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVCTL_FAILPOINT_IDLE_SHIM_MS", "50")
    bench.change_owner()
    _twelve_at_once(bench, "one")
    parent = max(_parents())
    wait_until(lambda: len(children_of(parent)) == 4, "four shims are left")
    assert bench.run("true").result.exit_code == 0


def test_late_alarm_does_not_affect_the_next_attempt(bench: Bench) -> None:
    first, second = bench.folder / "go-1", bench.folder / "go-2"
    wait = "echo ready; until [ -e {} ]; do sleep 0.02; done; exit 4"
    place = bench.shell(wait.format(first))
    bench.until_ready(place)
    shim = shim_of(place)
    first.touch()
    bench.end_of(place)
    os.kill(shim, signal.SIGALRM)
    after = bench.shell(wait.format(second))
    bench.until_ready(after)
    assert shim_of(after) == shim
    second.touch()
    end = bench.end_of(after)
    assert (end.cause, end.result.exit_code) == ("exit", 4)


# -- owners that die --------------------------------------------------------------


def test_killed_owner_does_not_leave_its_output_open(bench: Bench) -> None:
    go = bench.folder / "go-on"
    wait = f'until [ -e "{go}" ]; do sleep 0.02; done'
    with _owner(bench, f"echo ready; {wait}; exit 5") as owner:
        place = bench.order().place
        bench.until_ready(place)
        owner.kill()
        # Who reads does not wait for the task, which goes on.
        assert owner.communicate(timeout=30) == (b"", b"")
        assert isinstance(bench.recover(place), AdoptedReport)
        go.touch()
        assert bench.end_of(place).result.exit_code == 5


def test_attempt_that_cannot_be_checked_now_is_neither_dead_nor_lost(
    bench: Bench,
) -> None:
    place = bench.shell("echo ready; sleep 1; exit 5")
    bench.until_ready(place)
    bench.change_owner()
    with no_descriptor_free(), pytest.raises(StateDirError, match="Too many open"):
        bench.recover(place)
    assert isinstance(bench.recover(place), AdoptedReport)
    with no_descriptor_free():
        # Who waits for its end may have a descriptor already, and give it back.
        bench.work(1.5)
    assert bench.end_of(place).result.exit_code == 5


def test_an_exit_record_that_cannot_be_read_now_is_reported_later(
    bench: Bench,
) -> None:
    """It is larger than the pipe takes, so the owner has to read its file."""
    place = _returns(bench, "x" * 8_000, after_s=0.5)
    bench.until_ready(place)
    with no_descriptor_free():
        bench.work(1)
        assert bench.reports == {}
    assert bench.end_of(place).output == "x" * 8_000


def test_a_small_exit_record_is_reported_without_reading_a_file(bench: Bench) -> None:
    place = _returns(bench, "small", after_s=0.5)
    bench.until_ready(place)
    with no_descriptor_free():
        assert bench.end_of(place).output == "small"


def _returns(bench: Bench, text: str, *, after_s: float) -> AttemptRef:
    """Start an attempt that says it is ready, waits, and returns a text."""
    order = bench.order(output_max=100_000)
    out = order.place.file("out")
    given = bench.folder / "given.json"
    given.write_text(json.dumps(text), encoding="utf-8")
    script = f"echo ready; sleep {after_s}; cat '{given}' > '{out}'"
    bench.executor.launch(replace(order, argv=("sh", "-c", script)))
    return order.place


def test_stop_that_cannot_be_sent_now_is_sent_later(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    bench.change_owner()
    assert isinstance(bench.recover(place), AdoptedReport)
    with no_descriptor_free():
        bench.stop(place)
        bench.work(0.2)
    assert bench.end_of(place).cause == "stop"


def test_parent_of_shims_is_replaced_later_if_not_possible_now(
    bench: Bench,
) -> None:
    place = bench.shell("echo ready; sleep 1; exit 5")
    bench.until_ready(place)
    parent = _parent()
    with no_descriptor_free():
        os.kill(parent, signal.SIGKILL)
        bench.work(0.7)
        late = bench.launch("true")
        bench.work(0.7)
        assert bench.reports == {}
    assert bench.end_of(place).result.exit_code == 5
    assert isinstance(
        bench.end_of(late), NeverStartedReport
    )  # so it is begun once more
    assert bench.run("sh", "-c", "exit 6").result.exit_code == 6


def test_adopted_attempt_is_awaited_without_a_thread(
    bench: Bench,
) -> None:
    place = bench.shell("echo ready; sleep 1; exit 5")
    bench.until_ready(place)
    with no_thread_free():
        bench.change_owner()
        assert isinstance(
            bench.do(lambda: bench.executor.recover(place, rebooted=False)),
            AdoptedReport,
        )
        assert bench.end_of(place).result.exit_code == 5


def test_stop_works_before_the_old_parent_notices_that_its_owner_died(
    bench: Bench,
) -> None:
    with _owner(bench, "echo ready; exec sleep 60") as owner:
        place = bench.order().place
        bench.until_ready(place)
        (parent,) = children_of(owner.pid)
        os.kill(parent, signal.SIGSTOP)
        owner.kill()
        owner.wait()
        assert isinstance(bench.recover(place), AdoptedReport)
        bench.stop(place)
        bench.work(0.2)
        os.kill(parent, signal.SIGCONT)
        assert bench.end_of(place, within_s=30).cause == "stop"


def test_freeze_works_before_the_old_parent_notices_that_its_owner_died(
    bench: Bench,
) -> None:
    with _owner(bench, "echo ready; exec sleep 60") as owner:
        place = bench.order().place
        bench.until_ready(place)
        (parent,) = children_of(owner.pid)
        os.kill(parent, signal.SIGSTOP)
        owner.kill()
        owner.wait()
        assert isinstance(bench.recover(place), AdoptedReport)
        bench.freeze(place)
        bench.work(0.2)
        assert not is_frozen(place)  # it does not heed signals yet
        os.kill(parent, signal.SIGCONT)
        bench.until_frozen(place)
        bench.thaw(place)
        bench.freeze(place)
        bench.thaw(place)  # the last wish counts
        bench.work(0.7)
        bench.until(lambda: not is_frozen(place), "it is thawed")
        bench.stop(place)
        bench.end_of(place)


def test_request_lost_with_the_parent_of_shims_is_sent_again(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    parent = _parent()
    os.kill(parent, signal.SIGSTOP)
    bench.freeze(place)
    os.kill(parent, signal.SIGKILL)
    bench.until_frozen(place)
    bench.stop(place)
    bench.end_of(place)


def test_late_start_runs_once_or_not_at_all(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _slow_shims(bench, monkeypatch, 1.5):
        places = [bench.shell("echo ran") for _ in range(20)]
        bench.change_owner()
        first = [bench.recover(place) for place in places]
    void = [p for p, end in zip(places, first) if isinstance(end, NeverStartedReport)]
    assert void, first
    for place, end in zip(places, first):
        if isinstance(end, AdoptedReport):
            assert bench.end_of(place).result.exit_code == 0
    bench.work(1.6)  # the last of the shims has come to its fence
    assert [bench.log(place) for place in void] == [""] * len(void)
    ran = [place for place in places if place not in void]
    assert [bench.log(place) for place in ran] == ["ran\n"] * len(ran)


def test_control_late_start_runs_twice_without_the_fence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVCTL_FAILPOINT_NO_FENCE", "1")
    with _slow_shims(bench, monkeypatch, 1.5):
        places = [bench.shell("echo ran") for _ in range(20)]
        bench.change_owner()
        first = [bench.recover(place) for place in places]
    void = [p for p, end in zip(places, first) if isinstance(end, NeverStartedReport)]
    bench.until(lambda: any(map(bench.log, void)), "what is void runs all the same")
    bench.work(1.6)


def test_stop_works_while_the_shim_is_slow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _slow_shims(bench, monkeypatch, 0.3):
        places = [bench.shell("echo ran; exec sleep 60") for _ in range(10)]
        for place in places:
            bench.stop(place)
        for place in places:
            end = bench.end_of(place, within_s=30)
            assert isinstance(end, NeverStartedReport) or end.cause == "stop"


def test_program_that_cannot_start_leaves_no_file_open(bench: Bench) -> None:
    ends = [bench.run("no-such-program", input=b"x") for _ in range(20)]
    assert all(end.problem.startswith("cannot start no-such") for end in ends)
    shims = children_of(_parent())  # a second one if the first was slow to be free
    assert shims
    opened = [name for shim in shims for name in _open_files(shim).values()]
    assert [name for name in opened if str(bench.folder) in name] == []


@pytest.mark.parametrize("room", [9000, 60_000])
def test_incomplete_input_is_not_used_on_a_full_disk(bench: Bench, room: int) -> None:
    with disk_full_beyond(room):
        bench.change_owner()  # the shims of this one find no more room
    before = bench.order().place
    file = before.folder / f"{before.index + 1}.1.in"
    text = f"echo ran\n{'#' * 20_000}\nexit 3\n"
    place = bench.launch("sh", str(file), input=text.encode())
    end = bench.end_of(place)
    if room > len(text):
        assert (end.result.exit_code, bench.log(place)) == (3, "ran\n")  # the control
    else:
        assert isinstance(end, NeverStartedReport), end
        assert end.shortage
        assert end.reason.startswith(f"the file size limit is reached for {file}"), end
        assert bench.log(place) == ""


def test_task_with_secrets_leaves_no_core_dump(bench: Bench) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("this machine lets no process leave a core dump")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        bench.change_owner()  # the shims of this one have this limit
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    said = []
    for masked in ((), ("a secret",), ()):
        place = bench.launch("sh", "-c", "ulimit -Sc", masked=masked)
        bench.end_of(place)
        said.append(bench.log(place).strip())
    assert said[1] == "0"
    assert said[0] == said[2] != "0"  # the control, and the shim is as it was


@pytest.mark.parametrize("more", [0, 800])
def test_kernel_kills_tasks_before_their_shims_when_out_of_memory(
    bench: Bench, more: int
) -> None:
    own = Path("/proc/self/oom_score_adj")
    if not own.exists():
        pytest.skip("this system has no scores for the end of processes")
    before = int(own.read_text())
    base = min(before + more, 1000)
    own.write_text(str(base))
    try:
        bench.change_owner()  # whose shims begin with this score
    finally:
        own.write_text(str(before))
    score = "cat /proc/self/oom_score_adj"
    for _ in range(2):  # of one shim, the second time
        place = bench.shell(f"{score}; sh -c '{score}'; echo ready; exec sleep 60")
        bench.until_ready(place)
        assert bench.log(place).split()[:2] == [str(min(base + 500, 1000))] * 2
        shim = Path(f"/proc/{shim_of(place)}/oom_score_adj")
        assert int(shim.read_text()) == base  # the control
        bench.executor.stop(place, now=True)
        bench.end_of(place)


@pytest.mark.parametrize("keep", [0, 5, -1, -20])
def test_damaged_exit_record_is_no_success(bench: Bench, keep: int) -> None:
    place = bench.shell("exit 0")
    bench.end_of(place)
    raw = place.file("go").read_bytes()
    place.file("go").write_bytes(raw[:keep])
    assert isinstance(bench.recover(place), UnknownReport)


def test_every_flipped_bit_of_an_exit_record_is_noticed(bench: Bench) -> None:
    place = bench.shell("exit 0")
    sound = bench.end_of(place)
    raw = place.file("go").read_bytes()
    for at in range(len(raw) - 1):
        place.file("go").write_bytes(
            raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :]
        )
        assert isinstance(bench.recover(place), UnknownReport), at
    place.file("go").write_bytes(raw)
    assert bench.recover(place) == sound


def _local_executor() -> object:

    return LocalExecutor()


@contextmanager
def _owner(bench: Bench, script: str) -> Iterator[Popen[bytes]]:
    """Another process that owns the attempt which the bench would start next."""
    command = [sys.executable, "-m", "tests.support.owner"]
    command += [str(bench.folder), bench.run_id, script]
    root = Path(__file__).parents[3]
    with Popen(command, cwd=str(root), stdout=PIPE, stderr=PIPE) as owner:
        try:
            yield owner
        finally:
            owner.kill()


@contextmanager
def _slow_shims(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, longest_s: float
) -> Iterator[None]:
    """Shims of the next owner are slow before their fence; later ones are not."""
    monkeypatch.setenv("PROVCTL_FAILPOINT_SLOW_SHIM_S", str(longest_s))
    bench.change_owner()
    monkeypatch.delenv("PROVCTL_FAILPOINT_SLOW_SHIM_S")
    yield


def _parent() -> int:
    """The parent of shims: the process that starts them."""
    (pid,) = _parents()
    return pid


def _parents() -> List[int]:
    mine = children_of(os.getpid())
    return [pid for pid in mine if "local.shim_pool" in " ".join(command_of(pid))]


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def _open_files(pid: int) -> dict[str, str]:
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[link.name] = os.readlink(str(link))
        except FileNotFoundError:
            continue  # the one that lists
    return found
