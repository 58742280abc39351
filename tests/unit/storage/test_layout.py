"""The state directory: a run exists completely or not at all, and it is private."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Set

import pytest

from provctl.core.engine.events import RunFinished, RunSubmitted
from provctl.core.engine.state import State
from provctl.errors import JournalDamaged, ProvctlError, StateDirError
from provctl.storage.journal.file import recover
from provctl.storage.journal.replay import replay
from provctl.storage.layout import StateDir
from provctl.storage.workflow_json import digest, dump_workflow
from tests.support.run_folders import disk_full_beyond, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

ONE = a_workflow(task("a"))


def below(path: Path) -> Set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_run_is_a_folder(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE, priority=3)
    assert run.id == "r"
    assert below(run.path) == {
        "workflow.json",
        "journal.jsonl",
        "owner.lock",
        "attempts",
    }
    frozen = dump_workflow(ONE)
    assert run.workflow.read_bytes() == frozen
    assert run.load_workflow(digest(frozen)) == ONE
    (event,), _ = recover(run.journal, "r")
    assert event == RunSubmitted("r", 1000.0, "w", 1, digest(frozen), priority=3)
    assert run.log_of(7, 2) == run.path / "attempts" / "7.2.log"


def test_every_file_is_private(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    submit(folder, ONE)
    folder.enqueue("r")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for found in folder.path.rglob("*"):
        mode = 0o700 if found.is_dir() else 0o600
        assert stat.S_IMODE(found.stat().st_mode) == mode, found


@pytest.mark.parametrize("room", [0, 20, 80, 150])
def test_full_disk_leaves_no_run(tmp_path: Path, room: int) -> None:
    folder = state_folder(tmp_path)
    assert len(dump_workflow(ONE)) < 80 < 150 < len(submitted_line(folder))
    before = below(folder.path)
    with disk_full_beyond(room), pytest.raises(StateDirError):
        submit(folder, ONE)
    assert below(folder.path) == before
    submit(folder, ONE)
    assert folder.run_ids() == ["again", "r"]


def submitted_line(folder: StateDir) -> bytes:
    return submit(folder, ONE, run="again").journal.read_bytes()


def test_existing_run_is_not_replaced(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = submit(folder, ONE)
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    with pytest.raises(ProvctlError):
        submit(folder, a_workflow(task("b")))
    assert {path: path.read_bytes() for path in before} == before
    assert folder.run_ids() == ["r"]


def test_leftover_of_a_killed_submission_is_no_run_and_does_no_harm(
    tmp_path: Path,
) -> None:
    folder = state_folder(tmp_path)
    (folder.runs / ".new-r-4242" / "attempts").mkdir(parents=True)
    assert folder.run_ids() == []
    submit(folder, ONE)
    assert folder.run_ids() == ["r"]


def test_queue_markers_are_added_and_removed(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    for run in ("b", "a"):
        folder.enqueue(run)
        folder.enqueue(run)
    assert folder.queued() == ["a", "b"]
    folder.dequeue("b")
    folder.dequeue("b")
    assert folder.queued() == ["a"]


def test_marker_that_cannot_be_removed_does_no_harm(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    (folder.queue / "r" / "x").mkdir(parents=True)
    folder.dequeue("r")
    assert folder.queued() == ["r"]


def test_missing_state_directory_has_no_runs(tmp_path: Path) -> None:
    folder = StateDir(tmp_path / "none")
    assert folder.run_ids() == folder.queued() == []
    assert not folder.path.exists()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_directory_that_others_can_write_to_is_refused(
    tmp_path: Path, mode: int
) -> None:
    folder = StateDir(tmp_path / "state")
    folder.path.mkdir()
    folder.path.chmod(mode)
    with pytest.raises(
        StateDirError, match="other users own it or can write"
    ) as caught:
        folder.prepare()
    assert caught.value.hint == f"chown and chmod 700 {folder.path}"


def test_directory_that_others_can_only_read_is_accepted(tmp_path: Path) -> None:
    folder = StateDir(tmp_path / "state")
    folder.path.mkdir()
    folder.path.chmod(0o755)
    folder.prepare()
    assert folder.queue.is_dir()


def test_unwritable_path_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = StateDir(tmp_path / "file" / "state")
    for wish in (
        folder.prepare,
        lambda: submit(folder, ONE),
        lambda: folder.enqueue("r"),
    ):
        with pytest.raises(StateDirError, match="Not a directory") as caught:
            wish()
        assert str(tmp_path / "file") in caught.value.message
        assert "--state-dir" in (caught.value.hint or "")
    with pytest.raises(StateDirError, match="Not a directory"):
        folder.run_ids()


# -- what a run is replayed from -----------------------------------------------------


def test_changed_workflow_is_damage(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), a_workflow(task("a")))
    events, _ = recover(run.journal, "r")
    changed = run.workflow.read_bytes().replace(b"true", b"evil")
    run.workflow.write_bytes(changed)
    state = State(slots=1, capacity={})
    with pytest.raises(JournalDamaged, match="it differs from what was submitted"):
        replay(state, run, events)
    assert state.runs == {}
    assert run.workflow.read_bytes() == changed


def test_missing_workflow_is_damage(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    events, _ = recover(run.journal, "r")
    run.workflow.unlink()
    with pytest.raises(JournalDamaged, match=r"workflow\.json: No such file"):
        replay(State(slots=1, capacity={}), run, events)


def test_journal_with_impossible_events_is_damage(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    events, _ = recover(run.journal, "r")
    state = State(slots=1, capacity={})
    with pytest.raises(JournalDamaged, match="it was already submitted"):
        replay(state, run, [*events, *events])
    with pytest.raises(JournalDamaged, match="not the submission"):
        replay(state, run, [RunFinished("r", 1.0, "succeeded")])
    assert (state.runs, state.queues, state.due) == ({}, {}, {})
