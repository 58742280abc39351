"""The state directory is on a disk that fills up."""

from __future__ import annotations

import resource
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Iterator

import pytest

from tests.support.attempts import children_of
from tests.support.disks import SmallDisk, small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


@pytest.fixture
def disk(provctl: Provctl) -> Iterator[SmallDisk]:
    """The disk of the state directory; it is removed after all its users have ended."""
    with small_disk(provctl.state) as disk:
        yield disk
        provctl.kill_everything()


def test_case_28_submission_to_a_full_disk_is_refused(
    provctl: Provctl, disk: SmallDisk
) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    before = provctl.submit(file)
    provctl("wait", before)
    provctl("scheduler", "stop")
    disk.fill()
    for _ in range(3):
        done = provctl("workflow", "submit", file, code=32, **disk.how)
        assert done.out == ""
        assert done.err.startswith("error: ")
    assert provctl.runs() == [before]
    disk.free()
    provctl("wait", provctl.submit(file))


def test_case_28_foreground_run_on_a_full_disk_is_refused(
    provctl: Provctl, disk: SmallDisk
) -> None:
    ran = provctl.folder / "ran"
    file = provctl.file({"a": {"command": ["touch", str(ran)]}})
    provctl("ps")
    disk.fill()
    provctl("run", file, code=32, **disk.how)
    assert provctl.runs() == []
    assert not ran.exists()


def test_case_30_exit_record_is_kept_on_a_full_disk(
    provctl: Provctl, disk: SmallDisk
) -> None:
    go = provctl.folder / "go"
    folder = _running_task(provctl, go)
    if disk.mounted:
        disk.fill()
    go.touch()
    # There is room for how it ended, for it was reserved before the start.
    provctl.wait_for_text(folder / "attempts" / "0.1.go", '"exit_code":7')
    if disk.mounted:
        disk.free()
    provctl("scheduler", "restart")
    provctl("wait", folder.name, code=10)
    assert provctl.task(folder.name, "a")["exit_code"] == 7


def test_case_30_task_waits_for_disk_space_and_says_so(provctl: Provctl) -> None:
    ran, go = provctl.folder / "ran", provctl.folder / "go"
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done'
    tasks = {
        "a": {"command": ["sh", "-c", script]},
        "b": {"command": ["touch", str(ran)], "needs": ["a"]},
    }
    with provctl.start("run", provctl.file(tasks)) as owner:
        run = provctl.until(provctl.runs, "there is a run")[0]
        provctl.until_ready(run)
        (parent,) = children_of(owner.pid)
        # Enough for an exit record, too little to reserve its space.
        with _files_no_larger(1024, parent, *children_of(parent)):
            go.touch()
            journal = provctl.state / "runs" / run / "journal.jsonl"
            provctl.wait_for_text(journal, '"shortage":true')
            assert not ran.exists()
        out, err = owner.communicate(timeout=60)
        assert owner.returncode == 0, (out, err)
    said = f"the file size limit is reached for {provctl.state}/runs/{run}/attempts/1.1"
    assert out.decode().count(said) == 1
    assert ran.exists()


def test_case_28_29_full_journal_releases_its_run_and_stops_no_task(
    provctl: Provctl,
) -> None:
    go = provctl.folder / "go"
    folder = _running_task(provctl, go)
    before = (folder / "journal.jsonl").read_bytes()
    (scheduler,) = provctl.schedulers()
    size = (folder / "journal.jsonl").stat().st_size
    with _files_no_larger(size, scheduler):
        go.touch()
        log = provctl.state / "scheduler" / "log"
        provctl.wait_for_text(log, f"run {folder.name}: ")
        assert "cannot write the journal" in log.read_text()
        assert (folder / "journal.jsonl").read_bytes() == before
        assert provctl.status(folder.name)["outcome"] is None
        other = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
        provctl("wait", other)  # others go on
    provctl("scheduler", "restart")
    provctl("wait", folder.name, code=10)
    assert provctl.task(folder.name, "a")["exit_code"] == 7


def test_case_28_29_request_that_cannot_be_recorded_is_not_acknowledged(
    provctl: Provctl,
) -> None:
    go = provctl.folder / "go"
    folder = _running_task(provctl, go)
    (scheduler,) = provctl.schedulers()
    size = (folder / "journal.jsonl").stat().st_size
    with _files_no_larger(size, scheduler):
        done = provctl("cancel", folder.name, code=32)
        assert "requested" not in done.err
        assert "cannot write the journal" in done.err
    assert b"cancel_requested" not in (folder / "journal.jsonl").read_bytes()
    provctl("scheduler", "restart")
    go.touch()
    provctl("wait", folder.name, code=10)
    assert provctl.task(folder.name, "a")["exit_code"] == 7


def _running_task(provctl: Provctl, go: Path) -> Path:
    """The folder of a run whose only task waits for a file, then exits with 7.

    Earlier tasks make its journal longer than the journal of another run will be.
    """
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done; exit 7'
    early = {f"early-{n}": {"command": ["true"]} for n in range(4)}
    task = {"command": ["sh", "-c", script], "needs": list(early)}
    run = provctl.submit(provctl.file({"a": task, **early}))
    folder = provctl.state / "runs" / run
    provctl.wait_for_text(folder / "attempts" / "0.1.log", "ready")
    return folder


@contextmanager
def _files_no_larger(size: int, *processes: int) -> Iterator[None]:
    """These processes cannot write a file beyond a size, as if the disk was full."""
    none = resource.RLIM_INFINITY
    for process in processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, none))
    yield
    for process in processes:
        with suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_FSIZE, (none, none))
