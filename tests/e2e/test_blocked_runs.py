"""Queued runs that no scheduler can own: waiting verbs report why and end."""

from __future__ import annotations

import resource
import shutil
from typing import TYPE_CHECKING, Callable, Dict

import psutil
import pytest

from tests.support.installations import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

OFF = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}


def queued(provctl: Provctl) -> str:
    """Submit a run of one task while no scheduler runs."""
    file = provctl.file({"a": {"command": ["true"]}})
    return provctl.submit(file, env=OFF)


def _flip(journal: Path) -> None:
    raw = bytearray(journal.read_bytes())
    raw[40] ^= 1
    journal.write_bytes(bytes(raw))


HARMS: Dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut": lambda journal: journal.write_bytes(journal.read_bytes()[:40]),
    "empty": lambda journal: journal.write_bytes(b""),
    "gone": lambda journal: journal.unlink(),
}


@pytest.mark.parametrize("harm", HARMS)
def test_journal_without_a_complete_record_is_reported(
    provctl: Provctl, harm: str
) -> None:
    run = queued(provctl)
    journal = provctl.state / "runs" / run / "journal.jsonl"
    HARMS[harm](journal)
    provctl("scheduler", "start")
    for verb in ("wait", "monitor", "status", "logs", "cancel"):
        assert str(journal) in provctl("workflow", verb, run, code=33).err
    # The control: the scheduler is well, and takes another one.
    provctl("wait", provctl.submit(provctl.file({"a": {"command": ["true"]}})))


def test_older_scheduler_reports_a_newer_journal(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    later = Installation(provctl, "99.0")
    later.edit("storage/journal/codec.py", "FORMAT = 1", "FORMAT = 2")
    file = provctl.file({"a": {"command": ["true"]}})
    run = later("workflow", "submit", file).split()[-1]
    done = later.run("wait", run)
    assert done.returncode == 31, done.stderr
    assert "format 2, this version knows up to 1" in done.stderr
    assert "use the provctl version that wrote it" in done.stderr
    # The control: its own scheduler takes it.
    later("scheduler", "restart")
    later("wait", run)
    later("scheduler", "stop")


def test_owner_lock_that_is_not_a_file_is_reported(provctl: Provctl) -> None:
    run = queued(provctl)
    lock = provctl.state / "runs" / run / "owner.lock"
    lock.unlink()
    lock.mkdir()
    provctl("scheduler", "start")
    for verb in ("wait", "monitor"):
        assert (
            f"{lock}: it is not a regular file"
            in provctl("workflow", verb, run, code=33).err
        )
    lock.rmdir()
    provctl("wait", run)


@pytest.mark.parametrize("what", ["owner.lock", "journal.jsonl"])
def test_temporary_obstacle_is_reported_and_waited_for(
    provctl: Provctl, what: str
) -> None:
    provctl("scheduler", "start")
    pid = provctl("scheduler", "status", "-o", "json").json()["pid"]
    labels = [f"-lx{n}={'y' * 200}" for n in range(30)]
    file = provctl.file({"a": {"command": ["true"]}})
    # No file may grow beyond this: a lock is small, the journal is large from the start.
    room = {"owner.lock": 10, "journal.jsonl": 5000}[what]
    psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    run = provctl.submit(file, *labels, env=OFF)
    said = provctl.folder / "said"
    with said.open("wb") as err, provctl.start("wait", run, stderr=err) as waits:
        provctl.wait_for_text(said, "cannot be started yet")
        assert waits.poll() is None
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, unlimited)
        assert waits.wait(timeout=60) == 0
    text = said.read_text()
    assert str(provctl.state / "runs" / run / what) in text
    assert text.count("note: ") == 1
    provctl("scheduler", "stop")


def test_run_is_taken_although_its_submitter_died_before_the_notification(
    provctl: Provctl,
) -> None:
    run = queued(provctl)
    marker = provctl.state / "queue" / run
    aside = provctl.folder / "aside"
    shutil.move(str(marker), str(aside))
    provctl("scheduler", "start")
    shutil.move(str(aside), str(marker))
    assert provctl.status(run)["owned"] is False
    provctl("wait", run)
    assert provctl.task(run, "a")["attempts"] == 1
