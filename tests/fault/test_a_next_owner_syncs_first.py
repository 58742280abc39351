"""A record says what was on disk when it was written, so the next owner syncs first.

The previous owner may have been killed between its write and its sync. What it wrote
can then be read, and can be lost in a power cut.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, List

import pytest

from tests.support.run_folders import state_folder, submit
from tests.support.strace import TRACING, need_strace, points_of, under
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

_OWNER = """
import sys
from pathlib import Path
from provctl.core.engine.events import OwnershipTaken
from provctl.storage.journal.file import Journal, JournalOffset, recover

path = Path(sys.argv[1])
position = recover(path, "r")[1] if path.exists() else JournalOffset()
journal = Journal(path, position)
for _ in range(2):
    journal.add(OwnershipTaken("r", 1.0, "scheduler", 1, "b"))
    journal.commit()
"""


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def calls(tmp_path: Path, journal: Path) -> List[str]:
    """The system calls of an owner that change a journal, for two commits."""
    log = tmp_path / "trace"
    command = [sys.executable, "-c", _OWNER, str(journal)]
    subprocess.run(under(log, TRACING) + command, check=True)
    return [point.call for point in points_of(log, below="/journal.jsonl")]


def test_next_owner_syncs_the_journal_before_it_writes(
    tmp_path: Path,
) -> None:
    run = submit(state_folder(tmp_path), a_workflow(task("a")))
    once = ["pwrite64", "fdatasync"]
    assert calls(tmp_path, run.journal) == ["openat", "fdatasync", *once, *once]


def test_control_new_journal_needs_no_sync(tmp_path: Path) -> None:
    once = ["pwrite64", "fdatasync"]
    journal = tmp_path / "journal.jsonl"
    assert calls(tmp_path, journal) == ["openat", *once, *once]
