"""Catalogue group D, 51 to 58: bombs, kills, and programs that cannot start."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

import psutil
import pytest

from provctl.core.engine.requests import NeverStartedReport, UnknownReport
from provctl.executors.local.attempt_file import shim_pid
from provctl.executors.local.executor import LocalExecutor
from provctl.nushell.binary import find_nu
from tests.support.attempts import Bench, alive, children_of, wait_until

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef
    from tests.support.installed import Provctl


def _threads_of(uid: int) -> int:
    """The number of threads of a user; the limit of processes counts threads."""
    there = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == uid:
            there += process.info["num_threads"] or 0
    return there


def test_51_fork_bomb_ends_with_its_task(bench: Bench) -> None:
    limited = ["prlimit", f"--nproc={150 + _threads_of(os.geteuid())}"]
    if os.geteuid() == 0:
        # Root has no limit of processes; a number nobody else has, has its own.
        limited = ["setpriv", "--reuid=54321", "--clear-groups"]
        limited += ["prlimit", "--nproc=150"]
    bomb = "echo ready; bomb() { bomb | bomb & }; bomb; exec sleep 60"
    place = bench.launch(*limited, "sh", "-c", bomb, cwd="/", grace_s=0.3)
    bench.until_ready(place)
    bench.work(0.5)
    assert bench.run("true").result.exit_code == 0  # others are served meanwhile
    assert place.task not in bench.reports
    bench.stop(place)
    end = bench.end_of(place, within_s=30)
    assert end.cause == "stop"
    assert end.result.stuck == 0
    if os.geteuid() == 0:
        assert _of_user(54321) == []


def test_52_memory_bomb_fails_with_its_signal(bench: Bench) -> None:
    script = (
        "mut s = (1..100000 | each { 'xxxxxxxxxx' } | str join); loop { $s = $s + $s }"
    )
    end = bench.run(
        *("prlimit", f"--as={1 << 30}", _nu(), "-n", "--no-std-lib", "-c", script)
    )
    assert (end.cause, end.result.exit_code, end.result.signal) == (
        "exit",
        None,
        signal.SIGABRT,
    )


def test_53_cpu_bomb_times_out(bench: Bench) -> None:
    end = bench.run(
        *(_nu(), "-n", "--no-std-lib", "-c", "loop {}"), timeout_s=1.0, grace_s=0.5
    )
    assert end.cause == "timeout"
    assert end.result.cpu_s > 0.1


def test_54_killed_task_fails_with_its_signal(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    (task,) = children_of(_shim(place))
    os.kill(task, signal.SIGKILL)
    end = bench.end_of(place)
    assert (end.cause, end.result.signal) == ("exit", 9)


def test_54_killed_frozen_task_fails_with_its_signal(bench: Bench) -> None:
    place = bench.shell("sleep 61 & echo ready; exec sleep 60")
    bench.until_ready(place)
    (task,) = children_of(_shim(place))
    bench.freeze(place)
    bench.until_frozen(place)
    os.kill(task, signal.SIGKILL)
    end = bench.end_of(place)
    assert (end.cause, end.result.signal, end.result.survivors) == ("exit", 9, 1)


def test_54_killed_shim_makes_the_attempt_lost(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(place)
    (task,) = children_of(_shim(place))
    os.kill(_shim(place), signal.SIGKILL)
    end = bench.end_of(place)
    assert isinstance(end, UnknownReport)
    assert end.outcome == "lost"
    wait_until(lambda: not alive(task), "the task is killed")


@pytest.mark.parametrize("how", ["missing", "not executable"])
def test_55_nushell_that_cannot_start_fails_without_retry(
    provctl: Provctl, how: str
) -> None:
    folder = provctl.folder / "bin"
    folder.mkdir()
    for name in ("sh", "sleep"):
        (folder / name).symlink_to(str(shutil.which(name)))
    if how == "not executable":
        (folder / "nu").write_text("no program")
    retry = {"attempts": 3, "delay": "1s"}
    file = provctl.file({"a": {"script": "1", "retry": retry}})
    with provctl.start("run", file, env={"PATH": str(folder)}) as process:
        said = b"".join(process.communicate(timeout=60)).decode()
    assert process.returncode in (10, 52)
    for run in provctl.runs():
        assert provctl.task(run, "a")["attempts"] <= 1
    assert "nu" in said
    assert "Traceback" not in said


def test_56_nushell_crash_fails_with_its_signal(bench: Bench) -> None:
    script = "(" * 5000 + "1" + ")" * 5000
    end = bench.run(_nu(), "-n", "--no-std-lib", "-c", script)
    assert (end.cause, end.result.exit_code) == ("exit", None)
    assert end.result.signal in (signal.SIGSEGV, signal.SIGABRT)


def test_57_attempt_is_discarded_if_its_shim_cannot_be_forked(bench: Bench) -> None:
    first = bench.shell("echo ready; exec sleep 60")
    bench.until_ready(first)
    (parent,) = [pid for pid in children_of(os.getpid()) if children_of(pid)]
    before = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        places = [bench.shell("exit 3") for _ in range(3)]
        for end in map(bench.end_of, places):
            assert isinstance(end, NeverStartedReport)
            assert end.shortage
            assert end.reason.startswith("no file descriptor is free")
    finally:
        resource.prlimit(parent, resource.RLIMIT_NOFILE, before)
    # The control: with descriptors others begin, and what is void never does.
    assert bench.end_of(bench.shell("exit 3")).result.exit_code == 3
    assert "".join(map(bench.log, places)) == ""
    bench.stop(first)
    bench.end_of(first)


def test_57_attempt_is_discarded_if_its_shim_is_killed_before_the_fence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVCTL_FAILPOINT_SLOW_SHIM_S", "60")
    bench.change_owner()
    place = bench.shell("echo ran")

    def shims() -> list[int]:
        return [shim for pid in children_of(os.getpid()) for shim in children_of(pid)]

    (shim,) = bench.until(shims, "there is a shim")
    bench.work(0.1)
    os.kill(shim, signal.SIGKILL)
    assert isinstance(bench.end_of(place), NeverStartedReport)
    assert bench.log(place) == ""


def test_58_executor_works_if_its_starter_ignores_sigchld(
    tmp_path: Path,
) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        bench = Bench(LocalExecutor, tmp_path)
    finally:
        signal.signal(signal.SIGCHLD, before)
    try:
        assert bench.run("sh", "-c", "exit 7").result.exit_code == 7
    finally:
        bench.close()


@pytest.fixture
def frozen_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk on which writers hang in the kernel, where not even KILL works."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root may freeze a file system, on Linux")
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mount = ["mount", "-o", "loop", str(image), str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no loop device may be mounted here")
    try:
        subprocess.run(["fsfreeze", "--freeze", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(folder)])
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_45_unkillable_process_is_counted_and_left(
    bench: Bench, frozen_disk: Path
) -> None:
    hangs = "until grep -q '^State:.D' /proc/$!/status; do sleep 0.02; done"
    script = f"touch {frozen_disk}/x & echo $!; {hangs}; exit 4"
    place = bench.shell(script, grace_s=0.2)
    end = bench.end_of(place, within_s=30)
    child = int(bench.log(place))
    assert (end.result.exit_code, end.result.survivors, end.result.stuck) == (4, 1, 1)
    assert alive(child)
    # The next attempt has another shim, which knows nothing of it.
    after = bench.run("true")
    assert (after.result.survivors, after.result.stuck) == (0, 0)
    subprocess.run(["fsfreeze", "--unfreeze", str(frozen_disk)], check=True)
    wait_until(lambda: not alive(child), "it ends as soon as it can")


def _nu() -> str:
    return find_nu("nu", os.environ["PATH"])


def _of_user(uid: int) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(FileNotFoundError):  # it has ended meanwhile
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                found.append(entry.name)
    return found


def _shim(place: AttemptRef) -> int:
    pid = shim_pid(place)
    assert pid is not None
    return pid
