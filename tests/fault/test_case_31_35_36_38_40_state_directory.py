"""The state directory lacks inodes, is read-only or slow, or is removed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator

import pytest

from provctl.api.control.client import call
from tests.support.strace import attached, need_strace

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_FULL = 32


class _Mount:
    """A tmpfs at the state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700)
        self._mount("-t", "tmpfs", "-o", "mode=0700", "tmpfs")

    def be(self, options: str) -> None:
        """Mount it again with other options."""
        self._mount("-o", f"remount,{options}")

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words, str(self._folder)], check=True)


@pytest.fixture
def mount(provctl: Provctl) -> Iterator[_Mount]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small or read-only disk")
    mount = _Mount(provctl.state)
    try:
        yield mount
        provctl.kill_everything()
    finally:
        subprocess.run(["umount", "--lazy", str(provctl.state)], check=True)


def test_case_31_submission_without_inodes_is_refused(
    provctl: Provctl, mount: _Mount
) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    mount.be("nr_inodes=8")
    done = provctl("workflow", "submit", file, code=_FULL)
    assert done.out == ""
    assert "No space left on device" in done.err
    assert provctl.runs() == []
    mount.be("nr_inodes=1000")  # the control: with more of them it is taken
    provctl("wait", provctl.submit(file))


def test_case_35_reading_verbs_work_on_a_read_only_disk(
    provctl: Provctl, mount: _Mount
) -> None:
    file = provctl.file({"a": {"command": ["echo", "hello"]}})
    run = provctl.submit(file)
    provctl("wait", run)
    provctl("scheduler", "stop")
    # It can no longer be reached before it has ended, with its log open.
    provctl.until(lambda: not provctl.processes(), "no process is left")
    mount.be("ro")
    for verb in ("status", "logs", "outputs"):
        provctl("workflow", verb, run)
    assert run in provctl("ps", "-o", "name").out
    for command in (("workflow", "submit", file), ("run", file)):
        done = provctl(*command, code=_FULL)
        assert done.out == ""
        assert "Read-only file system" in done.err
    said = provctl("scheduler", "start", code=_FULL).err
    assert "Read-only file system" in said
    mount.be("rw")
    provctl("wait", provctl.submit(file))


def test_case_36_slow_disk_causes_larger_batches_and_the_api_answers(
    provctl: Provctl, figure: Callable[[str], None]
) -> None:
    need_strace()
    tasks = {f"t{n}": {"command": ["true"]} for n in range(100)}
    file, log = provctl.file(tasks), provctl.folder / "strace"
    provctl("scheduler", "start", env={"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "10"})
    (scheduler,) = provctl.schedulers()
    socket = provctl.state / "scheduler" / "control.sock"
    slow = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=300000")

    def syncs() -> int:
        return log.read_text().count("fdatasync(")

    with attached(scheduler, log, slow):
        run = provctl.submit(file)
        before = syncs()
        call(socket, {"verb": "status"}, timeout_s=60)
        answered = syncs() - before
        provctl("wait", run)
    records = len(provctl.journal(run))
    figure(
        f"case 36: {records} records in {syncs()} syncs of 300 ms, {answered} before an answer"
    )
    assert answered < syncs() / 2, "it answers between two syncs, not after all"
    assert syncs() < records / 4


def test_case_38_tasks_wait_without_descriptors(provctl: Provctl) -> None:
    tasks = {f"t{n}": {"command": ["true"]} for n in range(60)}
    none = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    run = provctl.submit(provctl.file(tasks), env=none)
    with provctl.start(
        *("scheduler", "serve", "--ready-fd", 1),
        env={"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "60"},
        preexec_fn=_few_descriptors,
    ) as scheduler:
        provctl.until(lambda: len(provctl.journal(run)) > 1, "the run is taken")
        provctl("wait", run)
        provctl("scheduler", "stop")
        scheduler.communicate()


def test_case_38_thousand_tasks_leave_no_descriptor_open(provctl: Provctl) -> None:
    provctl("wait", provctl.submit(provctl.file({"a": {"command": ["true"]}})))
    (scheduler,) = provctl.schedulers()
    before = _descriptors(scheduler)
    tasks = {f"t{n}": {"command": ["true"]} for n in range(1000)}
    provctl("wait", provctl.submit(provctl.file(tasks)))
    provctl.until(lambda: _descriptors(scheduler) <= before, "all are closed again")


def test_case_40_removed_state_directory_stops_work_with_a_message(
    provctl: Provctl,
) -> None:
    go, ran = provctl.folder / "go", provctl.folder / "ran"
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done'
    tasks = {
        "a": {"command": ["sh", "-c", script]},
        "b": {"command": ["touch", str(ran)], "needs": ["a"]},
    }
    with provctl.start("run", provctl.file(tasks)) as owner:
        provctl.until_ready(provctl.until(provctl.runs, "there is a run")[0])
        shutil.rmtree(str(provctl.state))
        go.touch()
        out, err = owner.communicate(timeout=60)
    assert owner.returncode in (13, _FULL), (out, err)
    assert "No such file or directory" in (out + err).decode()
    assert b"Traceback" not in err
    assert not ran.exists()


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
