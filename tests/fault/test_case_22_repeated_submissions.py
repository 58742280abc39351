"""Case 22: a submitter dies at any moment and submits again with the same key."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING, List

from tests.support.strace import need_strace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

KEY = ("--key", "order 66")
# The calls that change what is on disk or tell the scheduler. `when` counts each name.
CALLS = ("mkdir", "fsync", "fdatasync", "rename", "connect", "sendto")


def test_22_submit_killed_at_every_step_and_repeated_runs_once(
    provctl: Provctl,
) -> None:
    need_strace()
    provctl("scheduler", "start")
    killed = found = 0
    for number, (call, when) in enumerate(_steps(provctl)):
        ran = provctl.folder / f"ran-{number}"
        file = provctl.file({"a": {"command": ["sh", "-c", f"echo x >> {ran}"]}})
        key = ("--key", f"step {number}")
        killed += _submit_and_kill(provctl, file, key, call, when)
        before = provctl.runs()
        run = provctl.submit(file, *key)
        found += run in before
        assert provctl.submit(file, *key) == run
        provctl("wait", run)
        assert ran.read_text() == "x\n"
        assert len(provctl.runs()) == number + 1
    # The kill was felt, and both before and after there was a run.
    assert 0 < found < killed, (found, killed)


def test_22_control_repeated_submit_without_a_key_is_another_run(
    provctl: Provctl,
) -> None:
    need_strace()
    ran = provctl.folder / "ran"
    file = provctl.file({"a": {"command": ["sh", "-c", f"echo x >> {ran}"]}})
    provctl("scheduler", "start")
    assert _submit_and_kill(provctl, file, (), "connect", 1)
    run = provctl.submit(file)
    provctl("wait", run)
    provctl.until(lambda: ran.read_text() == "x\nx\n", "it ran twice")


def test_22_repeated_submit_restores_a_missing_queue_marker(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    run = provctl.submit(file, *KEY, env=off)
    (provctl.state / "queue" / run).unlink()
    assert provctl.submit(file, *KEY) == run
    provctl("wait", run)


def test_22_repeated_submit_finds_the_finished_run(provctl: Provctl) -> None:
    run = provctl.submit(provctl.ends_badly(), *KEY)
    provctl("wait", run, code=10)
    provctl("scheduler", "stop")
    file = next(provctl.folder.glob("w-*.json"))
    again = provctl("workflow", "submit", file, *KEY)
    assert again.out == f"Workflow submitted: {run}\n"
    assert again.err == f"submitted before with this key: {run} failed\n"
    assert provctl("workflow", "submit", file, *KEY, "-w", code=10).last_word == run
    told = provctl("workflow", "submit", file, *KEY, "-o", "json").json()
    assert told == [{"id": run, "status": "finished"}]
    assert provctl.schedulers() == []  # nothing was to be done
    assert not (provctl.state / "queue" / run).exists()


def test_22_twenty_parallel_submits_make_one_run(provctl: Provctl) -> None:
    ran = provctl.folder / "ran"
    file = provctl.file({"a": {"command": ["sh", "-c", f"echo x >> {ran}"]}})
    started = [provctl.start("workflow", "submit", file, *KEY) for _ in range(20)]
    said = set()
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        said.add(out.decode())
    (line,) = said
    (run,) = provctl.runs()
    assert line == f"Workflow submitted: {run}\n"
    provctl("wait", run)
    assert ran.read_text() == "x\n"
    assert [f.name for f in (provctl.state / "runs").iterdir()] == [run]


def test_67_one_of_ten_parallel_workflows_gets_the_key(provctl: Provctl) -> None:
    files = [provctl.file({"a": {"command": ["echo", str(n)]}}) for n in range(10)]
    started = [provctl.start("workflow", "submit", file, *KEY) for file in files]
    codes: List[int] = []
    for process in started:
        _, err = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert process.returncode == 0 or provctl.runs()[0] in err.decode()
    assert sorted(codes) == [0] + [42] * 9
    (run,) = provctl.runs()
    provctl("wait", run)
    assert provctl("logs", run, "a").out == f"{codes.index(0)}\n"


def test_67_other_workflow_with_the_same_key_is_refused(provctl: Provctl) -> None:
    params = {"n": 1}
    tasks = {"a": {"command": ["echo", {"$param": "n"}]}}
    file = provctl.file(tasks, params=params)
    run = provctl.submit(file, *KEY)
    assert provctl.submit(file, *KEY, "-p", "n=1") == run
    for args in ((file, "-p", "n=2"), (provctl.file({"b": {"command": ["true"]}}),)):
        done = provctl("workflow", "submit", *args, *KEY, code=42)
        assert done.out == ""
        assert f"run {run}" in done.err
        assert f"provctl status {run}" in done.err
    assert provctl.runs() == [run]


def test_67_batch_has_a_key(provctl: Provctl) -> None:
    files = [provctl.file({name: {"command": ["true"]}}) for name in "ab"]
    first = provctl("batch", "submit", *files, *KEY)
    assert provctl("batch", "submit", *files, *KEY).out == first.out
    runs = provctl.runs()
    assert len(runs) == 2
    for other in (files[::-1], files[:1], [*files, files[0]]):
        provctl("batch", "submit", *other, *KEY, code=42)
    provctl("workflow", "submit", files[0], *KEY, code=42)
    assert provctl.runs() == runs
    provctl("wait", first.last_word)


def _steps(provctl: Provctl) -> List[tuple[str, int]]:
    """Every relevant system call of a submission, and its number."""
    trace = provctl.folder / "trace"
    file = provctl.file({"a": {"command": ["true"]}})
    command = ["strace", "-o", str(trace), "-e", f"trace={','.join(CALLS)}"]
    _traced(provctl, command, file, ("--key", "counted"))
    for run in provctl.runs():
        provctl("wait", run)
        (provctl.state / "runs" / run).rename(provctl.folder / "counted")
    seen = re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE)
    return [(c, n) for c in CALLS for n in range(1, seen.count(c) + 1)]


def _submit_and_kill(
    provctl: Provctl, file: Path, key: tuple[str, ...], call: str, when: int
) -> bool:
    """Submit, and kill the command at a system call; return whether it was killed."""
    inject = f"inject={call}:signal=KILL:when={when}"
    command = ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
    return _traced(provctl, command, file, key) == -signal.SIGKILL


def _traced(
    provctl: Provctl, command: List[str], file: Path, key: tuple[str, ...]
) -> int:
    program = [
        *command,
        provctl.program,
        "workflow",
        "submit",
        str(file),
        *key,
    ]
    return subprocess.run(
        program,
        env=provctl.environ,
        cwd=str(provctl.folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    ).returncode
