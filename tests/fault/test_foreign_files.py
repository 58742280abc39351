"""Links, FIFOs and files of other accounts in place of files of the state directory.

The target of a link stays unchanged, nothing hangs, and all other runs continue.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, List

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

_QUEUED = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
_TEXT = "of somebody else\n"
_HANGS_S = 60.0
_ANOTHER = 12345


@pytest.fixture
def victim(provctl: Provctl) -> Path:
    return provctl.text("victim", _TEXT)


def _queued(provctl: Provctl) -> str:
    file = provctl.file({"a": {"command": ["true"]}})
    return provctl.submit(file, env=_QUEUED)


def _interrupted(provctl: Provctl) -> str:
    """A run whose task was running when its scheduler and all else was killed."""
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    provctl.kill_everything()
    return run


def _replace(path: Path, what: str, victim: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif os.path.lexists(path):
        path.unlink()
    if what == "link":
        path.symlink_to(victim)
    elif what == "hard link":
        os.link(str(victim), str(path))
    else:
        os.mkfifo(str(path))


def _others_go_on(provctl: Provctl, damaged: str) -> None:
    """Check that all other runs finish and that the problem of this run is reported."""
    other = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
    provctl("wait", other, within_s=_HANGS_S)
    assert damaged in provctl("scheduler", "logs", within_s=_HANGS_S).out
    words = {
        row["id"]: row["status"]
        for row in provctl("ps", "-o", "json", within_s=_HANGS_S).json()
    }
    assert words[damaged] == "damaged"
    assert words[other] != "damaged"
    said = provctl("journal", "verify", code=33, within_s=_HANGS_S)
    assert damaged in said.out + said.err
    provctl("journal", "verify", other)


@pytest.mark.parametrize("what", ["link", "hard link", "fifo"])
@pytest.mark.parametrize("name", ["lock", "log"])
def test_foreign_file_of_the_scheduler_is_refused(
    provctl: Provctl, victim: Path, name: str, what: str
) -> None:
    run = _queued(provctl)
    provctl("scheduler", "start")
    provctl("scheduler", "stop")
    provctl.until(lambda: not provctl.processes(), "no process is left")
    path = provctl.state / "scheduler" / name
    _replace(path, what, victim)
    done = provctl("scheduler", "start", code=None, within_s=_HANGS_S)
    assert done.code in (30, 32)
    assert str(path) in done.err
    if name == "log":
        assert str(path) in provctl("scheduler", "logs", code=32).err
    assert victim.read_text() == _TEXT
    provctl.until(lambda: not provctl.schedulers(), "no scheduler is left")
    path.unlink()  # the control: without it all is well
    provctl("scheduler", "start")
    provctl("wait", run)


@pytest.mark.parametrize("what", ["link", "hard link", "fifo"])
@pytest.mark.parametrize("name", ["owner.lock", "journal.jsonl", "workflow.json"])
def test_foreign_file_of_a_run_is_damage_of_that_run(
    provctl: Provctl, victim: Path, name: str, what: str
) -> None:
    run = _queued(provctl)
    _replace(provctl.state / "runs" / run / name, what, victim)
    if name != "workflow.json":
        _others_go_on(provctl, run)
    else:
        _told_when_taken(provctl, run)
    assert victim.read_text() == _TEXT
    assert not provctl.log(run).exists(), "nothing of it ran"


def _told_when_taken(provctl: Provctl, run: str) -> None:
    """Check that the next owner reports the problem; a list does not read that file."""
    provctl("wait", provctl.submit(provctl.file({"b": {"command": ["true"]}})))
    assert run in provctl("scheduler", "logs", within_s=_HANGS_S).out
    said = provctl("journal", "verify", code=33, within_s=_HANGS_S)
    assert run in said.out + said.err
    provctl("workflow", "status", run, code=33, within_s=_HANGS_S)


@pytest.mark.parametrize("what", ["hard link", "fifo"])
def test_foreign_exit_record_is_damage_of_that_run(
    provctl: Provctl, victim: Path, what: str
) -> None:
    run = _interrupted(provctl)
    go = provctl.state / "runs" / run / "attempts" / "0.1.go"
    _replace(go, what, victim)
    _told_when_taken(provctl, run)
    assert victim.read_text() == _TEXT
    names = sorted(path.name for path in go.parent.iterdir())
    assert names == ["0.1.go", "0.1.log"], "nothing of it ran again"


def _folders() -> List[str]:
    return ["runs", "queue", "scheduler", "slots", "hooks", "schedules"]


@pytest.mark.parametrize("name", _folders())
def test_folder_that_is_a_link_is_refused(provctl: Provctl, name: str) -> None:
    run = _queued(provctl)
    path, real = provctl.state / name, provctl.folder / "real"
    real.mkdir(mode=0o700)
    if path.exists():
        path.rename(provctl.folder / "kept")
    path.symlink_to(real)
    for command in (
        ("scheduler", "start"),
        ("workflow", "submit", provctl.file({"b": {"command": ["true"]}})),
        *([("ps",)] if name == "runs" else []),
    ):
        done = provctl(*command, code=32, within_s=_HANGS_S)
        assert f"{path}: it is not a directory, or it is a symbolic link" in done.err
    assert list(real.iterdir()) == []
    path.unlink()  # the control
    if (provctl.folder / "kept").exists():
        (provctl.folder / "kept").rename(path)
    provctl("scheduler", "start")
    provctl("wait", run)


def test_folder_of_another_account_is_refused(provctl: Provctl) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    run = _queued(provctl)
    runs = provctl.state / "runs"
    os.chown(str(runs), _ANOTHER, _ANOTHER)
    for command in (("scheduler", "start"), ("ps",)):
        assert str(runs) in provctl(*command, code=32).err
    os.chown(str(runs), 0, 0)
    os.chown(str(runs / run), _ANOTHER, _ANOTHER)
    _others_go_on(provctl, run)
    os.chown(str(runs / run), 0, 0)  # the control
    provctl("scheduler", "restart")
    provctl("wait", run)
