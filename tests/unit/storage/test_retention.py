"""Pruning: what is removed and kept, and that no run is ever half removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Callable, List, Optional

import pytest

from provctl.base.folder_size import size_of
from provctl.core.engine import events as ev
from provctl.core.model.labels import conditions
from provctl.storage.lock import Lock
from provctl.storage.retention import (
    RetentionPolicy,
    list_orphans,
    remove,
    remove_orphans,
    select_for_removal,
)
from provctl.storage.run_summary import summaries
from tests.support.resource_limits import no_descriptor_free
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import StateDir

NOW = 10_000.0
EMPTY = a_workflow()


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    """Runs r1 to r5 that finished at 1000 to 5000, and some that must be kept."""
    folder = state_folder(tmp_path)
    for n in range(1, 6):
        run = submit(folder, EMPTY, run=f"r{n}")
        append(run, [ev.RunFinished(run.id, n * 1000.0, "succeeded")])
    submit(folder, EMPTY, run="unfinished")
    for name in ("pinned", "damaged"):
        run = submit(folder, EMPTY, run=name)
        append(run, [ev.RunFinished(run.id, 500.0, "succeeded")])
    folder.pin("pinned")
    journal = folder.run("damaged").journal
    journal.write_bytes(journal.read_bytes()[1:])
    return folder


def chosen(folder: StateDir, limits: RetentionPolicy) -> List[str]:
    found = select_for_removal(folder, summaries(folder), limits, NOW, size_in(folder))
    return [each.run.id for each in found]


def size_in(folder: StateDir) -> Callable[[str], int]:
    return lambda run: size_of(folder.run(run).path)


@pytest.mark.parametrize(
    ("older", "keep", "gone"),
    [
        (7500.0, None, ["r1", "r2"]),
        (None, 2, ["r1", "r2", "r3"]),
        # The age says who goes, the number says who stays whatever their age.
        (0.0, 4, ["r1"]),
        (7500.0, 1, ["r1", "r2"]),
        (None, 0, ["r1", "r2", "r3", "r4", "r5"]),
        (9999.0, None, []),
    ],
)
def test_policy_selects_runs_to_remove(
    folder: StateDir, older: Optional[float], keep: Optional[int], gone: List[str]
) -> None:
    assert chosen(folder, RetentionPolicy(older, keep)) == gone


def test_oldest_runs_are_removed_until_the_rest_fits(folder: StateDir) -> None:
    total = sum(size_of(folder.run(run).path) for run in folder.run_ids())
    first = size_of(folder.run("r1").path)
    assert chosen(folder, RetentionPolicy(max_size=total)) == []
    assert chosen(folder, RetentionPolicy(max_size=total - 1)) == ["r1"]
    assert chosen(folder, RetentionPolicy(max_size=total - first - 1)) == ["r1", "r2"]
    # What must stay stays, even if that is too much.
    assert len(chosen(folder, RetentionPolicy(max_size=0))) == 5
    assert chosen(folder, RetentionPolicy(max_size=0, keep=3)) == ["r1", "r2"]


def test_policy_with_a_label_applies_only_to_runs_with_it(folder: StateDir) -> None:
    for n in (6, 7):
        run = submit(folder, EMPTY, run=f"r{n}", labels={"env": "test"})
        append(run, [ev.RunFinished(run.id, n * 1000.0, "succeeded")])
    test = conditions("env=test")
    assert chosen(folder, RetentionPolicy(keep=0, labels=test)) == ["r6", "r7"]
    assert chosen(folder, RetentionPolicy(keep=1, labels=test)) == ["r6"]
    assert chosen(folder, RetentionPolicy(3500.0, labels=test)) == ["r6"]
    one = size_of(folder.run("r6").path)
    assert chosen(folder, RetentionPolicy(max_size=one, labels=test)) == ["r6"]
    assert chosen(folder, RetentionPolicy(keep=4, labels=conditions("!env"))) == ["r1"]


def test_removed_run_loses_its_queue_marker(folder: StateDir) -> None:
    folder.enqueue("r1")
    folder.enqueue("unfinished")
    assert remove(folder, ["r1", "r2"]) == ["r1", "r2"]
    assert not {"r1", "r2"} & set(os.listdir(folder.runs))  # noqa: PTH208
    assert folder.queued() == ["unfinished"]
    assert list_orphans(folder, NOW) == []


def test_run_that_changed_after_it_was_chosen_is_kept(folder: StateDir) -> None:
    lock = Lock.acquire(folder.run("r1").lock)
    assert lock is not None
    assert remove(folder, ["r1", "unfinished", "damaged", "r2"]) == ["r2"]
    lock.release()
    assert {"r1", "unfinished", "damaged"} <= set(folder.run_ids())


def test_leftovers_of_dead_processes_are_removed(folder: StateDir) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    # Its end is a number too, and no process has it.
    alive = folder.runs / f".new-x-{os.getpid()}-99999999"
    young = folder.runs / f".new-y-{dead.pid}-0123abcd"
    left = [folder.runs / f".new-x-{dead.pid}-0123abcd", folder.runs / ".gone-r9-1"]
    for path in (alive, young, *left):
        path.mkdir()
        (path / "workflow.json").write_bytes(b"{}")
        at = NOW if path == young else NOW - 100
        os.utime(path, (at, at))
    for marker in ("r1", "missing", "unfinished"):
        folder.enqueue(marker)
        os.utime(folder.queue / marker, (NOW - 100, NOW - 100))
    folder.enqueue("r2")
    os.utime(folder.queue / "r2", (NOW - 1, NOW - 1))
    found = list_orphans(folder, NOW)
    assert set(found) == {*left, folder.queue / "r1", folder.queue / "missing"}
    remove_orphans(found)
    assert list_orphans(folder, NOW) == []
    assert alive.is_dir()
    assert young.is_dir(), "its process may be one that cannot be seen from here"
    # A young one may be of a run that somebody is about to take.
    assert folder.queued() == ["r2", "unfinished"]


def test_partly_removed_run_is_never_listed(folder: StateDir) -> None:
    gone = folder.runs / ".gone-r1-1"
    folder.run("r1").path.rename(gone)
    (gone / "journal.jsonl").unlink()
    assert "r1" not in folder.run_ids()
    assert [path.name for path in list_orphans(folder, NOW)] == [".gone-r1-1"]


# Whoever wants to write these labels down dies.
_KILLED = """
import os, signal, sys
from pathlib import Path
from provctl.core.engine.events import RunSubmitted
from provctl.storage.create_run import create_run
from provctl.storage.layout import StateDir

class Deadly(dict):
    def items(self):
        os.kill(os.getpid(), signal.SIGKILL)

told = RunSubmitted("k", 1.0, "w", 0, "", labels=Deadly(a="b"))
create_run(StateDir(Path(sys.argv[1])), told, b"{}")
"""


def test_draft_of_a_killed_submission_is_removed(folder: StateDir) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder.path)])
    assert done.returncode == -signal.SIGKILL
    (draft,) = (path for path in folder.runs.iterdir() if path.name[0] == ".")
    later = draft.stat().st_mtime + 100
    assert list_orphans(folder, later) == [draft]


def test_more_runs_than_descriptors_can_be_removed(folder: StateDir) -> None:
    many = [f"m{n}" for n in range(90)]
    for name in many:
        run = submit(folder, EMPTY, run=name)
        append(run, [ev.RunFinished(run.id, 1.0, "succeeded")])
    with no_descriptor_free(but=70):
        assert remove(folder, many) == many
    assert not set(many) & set(os.listdir(folder.runs))  # noqa: PTH208
