"""Many processes want to own the same thing at once: exactly one does."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator

import pytest

from provctl import __version__
from provctl.storage.lock import Lock, LockOwner

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE: Dict[str, Any] = {"command": ["true"]}


# Rounds of the two races; by hand more: FAULT_ROUNDS=50.
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_61_twenty_submits_at_once_start_one_scheduler(
    provctl: Provctl, number: int
) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    started = [provctl.start("workflow", "submit", file) for _ in range(20)]
    ids = []
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert err == b""
        ids.append(out.decode().split()[-1])
    assert len(set(ids)) == 20
    assert len(provctl.schedulers()) == 1
    provctl("wait", *ids)
    outcomes = {run["id"]: run["outcome"] for run in _list(provctl)}
    assert outcomes == dict.fromkeys(ids, "succeeded")
    starts = (provctl.state / "scheduler" / "log").read_text().count("started")
    assert starts == 1


def test_61_control_two_schedulers_are_counted(provctl: Provctl) -> None:
    """The control: schedulers of two state directories do not exclude each other."""
    for name in ("one", "two"):
        provctl("scheduler", "start", "--state-dir", provctl.folder / name)
    assert len(provctl.schedulers()) == 2
    for name in ("one", "two"):
        provctl("scheduler", "stop", "--state-dir", provctl.folder / name)


def test_61_ten_starts_at_once_start_one_scheduler(provctl: Provctl) -> None:
    started = [provctl.start("scheduler", "start") for _ in range(10)]
    for process in started:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert len(provctl.schedulers()) == 1


def test_61_scheduler_starts_although_its_starter_stops_waiting(
    provctl: Provctl,
) -> None:
    """The starter gets Ctrl-C, or its timeout passes."""
    file = provctl.file({"a": {"command": ["true"]}})
    alone = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    run = provctl.submit(file, env=alone)
    ready, theirs = os.pipe()
    os.close(ready)
    server = provctl.start(
        "scheduler", "serve", "--ready-fd", theirs, pass_fds=[theirs]
    )
    os.close(theirs)
    provctl.until(lambda: provctl.status(run)["outcome"] == "succeeded", "it runs")
    assert provctl.schedulers() == [server.pid]
    provctl("scheduler", "stop")
    server.communicate(timeout=20)


def test_61_second_scheduler_leaves_the_first_one_running(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    before = provctl.schedulers()
    process = provctl.start("scheduler", "serve", "--ready-fd", 1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"already\n", b"")
    assert provctl.schedulers() == before


def test_61_second_owner_of_a_foreground_run_is_refused(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "echo ready; sleep 60"]}})
    with provctl.start("run", file) as owner:
        run = provctl.until(provctl.runs, "there is a run")[0]
        log = provctl.log(run)
        provctl.wait_for_text(log, "ready")
        said = provctl("workflow", "resume", run, code=41).err
        assert f"run {run} already has an owner: a foreground run" in said
        assert str(owner.pid) in said
        provctl("cancel", run)
        assert owner.wait(timeout=60) == 11


def test_61_second_owner_of_a_submitted_run_is_refused(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "echo ready; sleep 60"]}})
    run = provctl.submit(file)
    log = provctl.log(run)
    provctl.wait_for_text(log, "ready")
    before = (provctl.state / "runs" / run / "journal.jsonl").read_bytes()
    said = provctl("workflow", "resume", run, code=41).err
    assert f"run {run} already has an owner: the scheduler" in said
    assert (provctl.state / "runs" / run / "journal.jsonl").read_bytes() == before
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_61_one_of_ten_resumes_at_once_owns_the_run(
    provctl: Provctl, number: int
) -> None:
    ran = provctl.folder / "ran"
    script = f'echo x >> "{ran}"; sleep 2'
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.start("run", file) as owner:
        provctl.wait_for_text(ran, "x")
        owner.kill()
        owner.communicate(timeout=60)
    (run,) = provctl.runs()
    started = [provctl.start("workflow", "resume", run) for _ in range(10)]
    codes = []
    for process in started:
        process.communicate(timeout=60)
        codes.append(process.returncode)
    assert sorted(codes) == [0] + [41] * 9
    assert ran.read_text() == "x\n"


def test_62_next_scheduler_takes_runs_submitted_while_the_old_one_ends(
    provctl: Provctl,
) -> None:
    slow = {"PROVCTL_FAILPOINT_SLOW_END_S": "1.5"}
    provctl("scheduler", "start", env=slow)
    (old,) = provctl.schedulers()
    with provctl.start("scheduler", "stop") as stop:
        socket = provctl.state / "scheduler" / "control.sock"
        provctl.until(lambda: not socket.exists(), "it is no longer reached")
        assert provctl.schedulers() == [old]  # the control: it has not gone yet
        done = provctl("workflow", "submit", provctl.file({"a": TRUE}))
        assert done.err == ""
        provctl("wait", done.last_word)
        assert stop.wait(timeout=60) == 0
    assert old not in provctl.schedulers()


def test_61_one_of_three_parallel_schedulers_remains_and_can_be_stopped(
    provctl: Provctl,
) -> None:
    three = [
        provctl.start("scheduler", "serve", stdout=None, stderr=None) for _ in range(3)
    ]
    try:
        provctl.until(
            lambda: sum(each.poll() is None for each in three) == 1,
            "each of them ended for the next",
        )
        (left,) = [each for each in three if each.poll() is None]
        told = provctl.until(
            lambda: provctl("scheduler", "status", "-o", "json").json()["pid"],
            "the last one can be reached",
        )
        assert told == left.pid
        assert "stopped" in provctl("scheduler", "stop", within_s=60).err
        assert left.wait(timeout=60) == 0
    finally:
        provctl.kill_everything()
        for each in three:
            each.wait(timeout=60)


def test_62_stop_does_not_wait_for_the_next_scheduler(provctl: Provctl) -> None:
    slow = {"PROVCTL_FAILPOINT_SLOW_END_S": "1.5"}
    provctl("scheduler", "start", env=slow)
    (old,) = provctl.schedulers()
    with provctl.start("scheduler", "stop") as stop:
        socket = provctl.state / "scheduler" / "control.sock"
        provctl.until(lambda: not socket.exists(), "it is no longer reached")
        with provctl.start("scheduler", "serve") as following:
            assert stop.wait(timeout=60) == 0
            assert old not in provctl.schedulers()
            following.terminate()
            following.communicate(timeout=60)


def test_62_stop_reports_a_scheduler_that_does_not_end(
    provctl: Provctl,
) -> None:
    never = {"PROVCTL_FAILPOINT_SLOW_END_S": "600"}
    provctl("scheduler", "start", env=never)
    (old,) = provctl.schedulers()
    soon = {"PROVCTL_ORCHESTRATOR_TIMEOUT_SECONDS": "1"}
    said = provctl("scheduler", "stop", env=soon, code=30).err
    assert f"process {old}, was asked to stop but is still running after 1 s" in said
    assert f"kill -9 {old}" in said
    assert provctl.schedulers() == [old]
    provctl.kill_scheduler()


def test_62_stuck_scheduler_loses_nothing(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    (pid,) = provctl.schedulers()
    os.kill(pid, signal.SIGSTOP)
    soon = {"PROVCTL_ORCHESTRATOR_TIMEOUT_SECONDS": "1"}
    done = provctl("workflow", "submit", provctl.file({"a": TRUE}), env=soon)
    assert "queued, but no scheduler could be reached" in done.err
    os.kill(pid, signal.SIGCONT)
    provctl("wait", done.last_word)


def test_63_leftovers_of_a_killed_scheduler_do_not_block_the_next(
    provctl: Provctl,
) -> None:
    provctl("scheduler", "start")
    provctl.kill_scheduler()
    folder = provctl.state / "scheduler"
    assert (folder / "control.sock").is_socket()  # the control: it left one
    for text in ("", "1\n", '{"pid": 1}', '{"kind": "scheduler", "pid": 1' + "\0" * 9):
        (folder / "lock").write_text(text)
        assert provctl("scheduler", "status", "-o", "json").json()["running"] is False
    provctl("scheduler", "start")
    provctl("wait", provctl.submit(provctl.file({"a": TRUE})))


@pytest.mark.parametrize("what", ["file", "folder", "link", "link to a socket"])
def test_64_path_that_is_not_a_socket_is_not_replaced(
    provctl: Provctl, what: str
) -> None:
    place = provctl.state / "scheduler" / "control.sock"
    provctl("scheduler", "start")
    provctl("scheduler", "stop")
    other = provctl.folder / "other"
    if what == "file":
        place.write_text("mine")
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to(other)
    with contextlib.ExitStack() as stack:
        if what == "link to a socket":
            theirs = stack.enter_context(socket.socket(socket.AF_UNIX))
            theirs.bind(str(other))
        said = provctl("scheduler", "start", code=30).err
    assert f"{place}: a file that is not a socket has this path" in said
    done = provctl("workflow", "submit", provctl.file({"a": TRUE}))
    assert "queued, but no scheduler could be reached" in done.err
    assert os.path.lexists(place)
    if what == "folder":
        place.rmdir()
    else:
        place.unlink()
    provctl("scheduler", "start")
    provctl("wait", done.last_word)


def test_65_state_directories_with_a_common_prefix_are_separate(
    provctl: Provctl,
) -> None:
    deep = provctl.folder / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    runs = {}
    for name in ("one", "two"):
        env = {"PROVCTL_STATE_DIR": str(deep / name)}
        file = provctl.file({"a": {"command": ["echo", name]}})
        runs[name] = provctl.submit(file, env=env)
        provctl("wait", runs[name], env=env)
    assert len(provctl.schedulers()) == 2
    for name, other in (("one", "two"), ("two", "one")):
        env = {"PROVCTL_STATE_DIR": str(deep / name)}
        assert provctl("logs", runs[name], "a", env=env).out == f"{name}\n"
        provctl("workflow", "status", runs[other], code=40, env=env)
        told = provctl("scheduler", "status", "-o", "json", env=env).json()
        assert told["state_dir"] == str(deep / name)
        provctl("scheduler", "stop", env=env)


def test_66_owner_of_another_version_is_named(provctl: Provctl) -> None:
    """A fake owner answers as another version would."""
    refusal = {"ok": False, "error": "unknown verb 'cancel'", "hint": None}
    with _another_owner(provctl, {**refusal, "exit_code": 2, "version": "9.9"}) as run:
        said = provctl("cancel", run, code=30).err
        assert "of version 9.9" in said
        assert __version__ in said
        assert "unknown verb 'cancel'" in said
        assert "provctl scheduler restart" in said
        told = provctl("scheduler", "status", "-o", "json", code=30).err
        assert "of version 9.9" in told
        already = provctl("scheduler", "start").err
        assert "the scheduler is provctl 9.9" in already


def test_66_refusal_by_an_owner_of_this_version_is_passed_on(provctl: Provctl) -> None:
    refusal = {"ok": False, "error": "no such wish", "hint": None, "exit_code": 2}
    with _another_owner(provctl, {**refusal, "version": __version__}) as run:
        assert "error: no such wish" in provctl("cancel", run, code=2).err


@pytest.mark.parametrize("answer", [[], {}, {"ok": False}, "\0", {"ok": False, "x": 1}])
def test_66_invalid_answer_of_an_owner_is_reported(
    provctl: Provctl, answer: Any
) -> None:
    with _another_owner(provctl, answer) as run:
        assert "no answer" in provctl("cancel", run, code=30).err


def test_68_cancel_at_the_end_of_a_task_gives_one_outcome(
    provctl: Provctl,
) -> None:
    """The scheduler is stopped until the cancel and the exit wait for it."""
    go = provctl.folder / "go"
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done'
    tasks = {"a": {"command": ["sh", "-c", script]}, "b": {**TRUE, "needs": ["a"]}}
    run = provctl.submit(provctl.file(tasks))
    provctl.until_ready(run)
    (pid,) = provctl.schedulers()
    os.kill(pid, signal.SIGSTOP)
    go.touch()
    record = provctl.state / "runs" / run / "attempts" / "0.1.go"
    provctl.wait_for_text(record, '"exit_code":0')
    before = provctl.journal(run)
    with provctl.start("cancel", run) as cancel:
        # The kernel takes the request for the scheduler, so this is all there is to
        # wait for: the command is in its answer's place.
        provctl.until(lambda: _reads_socket(cancel.pid), "the cancel waits")
        assert provctl.journal(run) == before  # the control: neither is known yet
        os.kill(pid, signal.SIGCONT)
        _, err = cancel.communicate(timeout=60)
    assert cancel.returncode in (0, 41), err
    outcome = _settled(provctl, run)
    assert outcome in ("cancelled", "succeeded")
    provctl("scheduler", "restart")
    assert _settled(provctl, run) == outcome


def test_68_cancel_at_any_moment_gives_one_outcome(provctl: Provctl) -> None:
    dice = random.Random(68)
    tasks = {f"t{n}": {"command": ["sleep", f"0.{n % 4}"]} for n in range(8)}
    file = provctl.file(tasks)
    outcomes = set()
    for _ in range(12):
        run = provctl.submit(file)
        time.sleep(dice.uniform(0.0, 0.7))
        process = provctl.start("cancel", run)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (0, 41), err
        outcomes.add(_settled(provctl, run))
    assert outcomes <= {"cancelled", "succeeded"}


def _settled(provctl: Provctl, run: str) -> str:
    """The only outcome of a run, in its journal and in `status`."""
    provctl.until(lambda: not provctl.status(run)["owned"], "nobody owns it any more")
    records = provctl.journal(run)
    (finished,) = [r for r in records if r["type"] == "run_finished"]
    assert records[-1] == finished
    told = provctl.status(run)
    assert told["outcome"] == finished["outcome"]
    for task in told["tasks"]:
        ends = [
            record
            for record in records
            if record["type"] == "attempt_finished" and record["task"] == task["id"]
        ]
        assert len(ends) == (task["attempts"] > 0), records
        assert not ends or ends[0]["outcome"] == task["outcome"]
    return str(finished["outcome"])


def _reads_socket(pid: int) -> bool:
    """Whether a process sleeps until its socket has data."""
    place = Path(f"/proc/{pid}/wchan")
    return "sk" in place.read_text() or "poll" in place.read_text()


@contextlib.contextmanager
def _another_owner(provctl: Provctl, answer: Any) -> Iterator[str]:
    """A scheduler and owner of a run that gives one answer to every request."""
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    run = provctl.submit(provctl.file({"a": TRUE}), env=off)
    place = provctl.folder / "s"
    version = answer.get("version", "") if isinstance(answer, dict) else ""
    holder = LockOwner("scheduler", os.getpid(), "b", str(place), 1.0, version)
    # What a later version might say of itself, beyond what this one knows.
    told = json.dumps({**vars(holder), "colour": "red"}) + "\n"
    control = provctl.state / "scheduler" / "control.sock"
    paths = (provctl.state / "scheduler" / "lock", provctl.state / "runs" / run)
    locks = []
    for path in (paths[0], paths[1] / "owner.lock"):
        locks.append(Lock.acquire(path))
        path.write_text(told)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        control.symlink_to(place)
        listener.listen()
        line = json.dumps(answer).encode() + b"\n"
        server = threading.Thread(target=_answer_all, args=(listener, line))
        server.start()
        try:
            yield run
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join(timeout=60)
    control.unlink()
    for lock in locks:
        assert lock is not None
        lock.release()


def _answer_all(listener: socket.socket, line: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # it was shut down
        with client, contextlib.suppress(OSError):  # who asked may not wait
            client.recv(1 << 16)
            client.sendall(line)


def _list(provctl: Provctl) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = provctl("ps", "-o", "json").json()
    return rows
