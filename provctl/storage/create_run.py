"""Creates a new run on disk, completely or not at all."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Optional

from provctl.errors import StateDirError
from provctl.storage.journal.file import Journal, JournalOffset
from provctl.storage.layout import (
    RunDir,
    StateDir,
    create_empty,
    fsync_dir,
    reported,
    write_fsync,
)

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.events import RunSubmitted


class RunExists(StateDirError):
    """A run with this id already exists; it is unchanged."""


def create_run(state: StateDir, submitted: RunSubmitted, frozen: bytes) -> RunDir:
    """Create a new run on disk, completely or not at all; return its folder.

    When this returns, the run survives a power cut. Raises RunExists, and StateDirError
    when the run cannot be written.
    """
    # The draft belongs to this call alone. A draft that a killed process left does not
    # interfere, nor do other calls that create the same run. One of them gets the name
    # of the run.
    draft = RunDir(state.runs / _draft_name(submitted.run))
    final = state.run(submitted.run)
    with reported(state.path):
        try:
            draft.attempts.mkdir(mode=0o700, parents=True)
            draft.path.chmod(0o700)
            write_fsync(draft.workflow, frozen)
            create_empty(draft.lock)
            _begin_journal(draft.journal, submitted)
            # Syncs its entries too, among them the empty folder and the empty file.
            fsync_dir(draft.path)
            _publish(draft, final)
            fsync_dir(state.runs)
        except BaseException:
            import shutil

            shutil.rmtree(str(draft.path), ignore_errors=True)
            raise
    return final


def _draft_name(run_id: str) -> str:
    return f".new-{run_id}-{os.getpid()}-{os.urandom(4).hex()}"


def draft_owner_pid(name: str) -> Optional[int]:
    """Return the pid of the process that made a draft; None if it is not a draft."""
    draft = re.fullmatch(r"\.new-.+-(\d+)-[0-9a-f]{8}", name)
    return int(draft[1]) if draft is not None else None


def _publish(draft: RunDir, final: RunDir) -> None:
    """Only one creator of a run succeeds: a folder with files is not replaced."""
    try:
        draft.path.rename(final.path)
    except OSError as problem:
        if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        message = f"run {final.id} already exists"
        raise RunExists(message) from None


def _begin_journal(path: Path, submitted: RunSubmitted) -> None:
    journal = Journal(path, JournalOffset())
    try:
        journal.add(submitted)
        journal.commit()
    finally:
        journal.close()
