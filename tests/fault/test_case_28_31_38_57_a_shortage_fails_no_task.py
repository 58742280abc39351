"""A shortage of inodes, space or processes in provctl does not fail a task.

The attempt is discarded and waits: nothing is rolled back, no retry is used up, and it
starts by itself when the resource is available. This is reported once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterator

import pytest

from tests.support.attempts import children_of
from tests.support.disks import SmallDisk, small_disk
from tests.support.strace import attached, has_injected, need_strace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


@pytest.fixture
def disk(provctl: Provctl) -> Iterator[SmallDisk]:
    """The disk of the state directory; it is removed after all its users have ended."""
    with small_disk(provctl.state, inodes=100) as disk:
        if not disk.mounted:
            pytest.skip("only root may mount a disk of few inodes")
        yield disk
        provctl.kill_everything()


def _server_then_what_rolls_back(provctl: Provctl, **fields: Any) -> Path:
    """A task that waits for the file `go` and has an undo; then one that rolls back."""
    folder = provctl.folder
    wait = f'echo ready; until [ -e "{folder}/go" ]; do sleep 0.02; done'
    tasks: Dict[str, Any] = {
        "a": {
            "command": ["sh", "-c", wait],
            "undo": {"command": ["touch", f"{folder}/undone"]},
        },
        "b": {
            "command": ["sh", "-c", f'echo x >> "{folder}/ran"'],
            "needs": ["a"],
            "on_failure": "rollback",
            **fields,
        },
    }
    return provctl.file(tasks)


def _until_told(provctl: Provctl, run: str, what: str) -> str:
    """Wait until the waiting task names the missing resource; return its reason."""

    def told() -> str:
        task = provctl.task(run, "b")
        assert task["outcome"] is None, task
        return str(task["reason"]) if what in (task["reason"] or "") else ""

    return str(provctl.until(told, f"b waits: {what}"))


def _check_whole(provctl: Provctl, run: str) -> None:
    """Check that the task ran once, as its first attempt, and nothing was undone."""
    provctl("wait", run)
    assert (provctl.folder / "ran").read_text() == "x\n"
    assert not (provctl.folder / "undone").exists()
    b = provctl.task(run, "b")
    assert (b["outcome"], b["attempts"], b["reason"]) == ("succeeded", 1, "")
    kinds = [record["type"] for record in provctl.journal(run)]
    assert "attempt_voided" in kinds, "the shortage was not felt"
    assert "rollback_requested" not in kinds


@pytest.mark.parametrize("left", [0, 1])
def test_case_31_attempt_waits_for_inodes(
    provctl: Provctl, disk: SmallDisk, left: int
) -> None:
    run = provctl.submit(_server_then_what_rolls_back(provctl))
    provctl.until_ready(run)
    disk.fill_inodes(but=left)
    (provctl.folder / "go").touch()
    reason = _until_told(provctl, run, "no inode is free")
    # The file that could not be made, not the folder of the task.
    assert f"{provctl.state}/runs/{run}/attempts/1." in reason
    assert reason in provctl("explain", f"{run}/b").out
    log = provctl.state / "scheduler" / "log"
    assert log.read_text().count("no inode is free") == 1
    disk.free()
    _check_whole(provctl, run)
    assert log.read_text().count("no inode is free") == 1


@pytest.mark.parametrize(
    ("call", "lacks"),
    [
        ("fallocate:error=ENOSPC", "no space left on the disk"),
        ("fallocate:error=EDQUOT", "the disk quota is used up"),
        ("openat:error=ENFILE", "no file descriptor is free"),
        ("clone,?clone3,?vfork:error=ENOMEM", "no memory is free"),
    ],
)
def test_case_28_38_57_attempt_waits_for_any_missing_resource(
    provctl: Provctl, call: str, lacks: str
) -> None:
    need_strace()
    run = provctl.submit(_server_then_what_rolls_back(provctl))
    provctl.until_ready(run)
    (parent,) = children_of(provctl.schedulers()[0])
    log = provctl.folder / "strace"
    calls, _, how = call.partition(":")
    options = ["-f", "-e", f"trace=?{calls}", "-e", f"inject=?{calls}:{how}"]
    for shim in children_of(parent):
        options += ["-p", str(shim)]
    if calls == "openat":  # but not all that else is opened
        attempts = provctl.state / "runs" / run / "attempts"
        options += [w for n in range(1, 20) for w in ("-P", f"{attempts}/1.{n}.new")]
    with attached(parent, log, options):
        (provctl.folder / "go").touch()
        _until_told(provctl, run, lacks)
    assert has_injected(log)
    _check_whole(provctl, run)


def test_case_57_attempt_waits_for_a_process_for_its_supervisor(
    provctl: Provctl,
) -> None:
    need_strace()
    provctl("scheduler", "start")
    (parent,) = children_of(provctl.schedulers()[0])
    log = provctl.folder / "strace"
    forks = "?clone,?clone3,?fork,?vfork"
    options = ("-e", f"trace={forks}", "-e", f"inject={forks}:error=EAGAIN")
    with attached(parent, log, options):
        run = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
        _until_told(provctl, run, "no process is free for a supervisor")
        # Nothing else starts meanwhile, and what is cancelled does not.
        other = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
        provctl("cancel", other)
        provctl("wait", other, code=11)
    assert has_injected(log)
    provctl("wait", run)


def test_control_case_57_missing_program_still_fails_the_task(
    provctl: Provctl,
) -> None:
    """The control: a mistake of the task itself is rolled back as usual."""
    tasks = _server_then_what_rolls_back(provctl, command=["no-such-program"])
    run = provctl.submit(tasks)
    provctl.until_ready(run)
    (provctl.folder / "go").touch()
    provctl("wait", run, code=14)
    assert (provctl.folder / "undone").exists()
