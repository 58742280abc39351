"""Owns runs on disk for tests: a state directory, and journals with given facts."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterable, Iterator

from provctl.core.events import RunSubmitted
from provctl.journal.folder import RunFolder, StateFolder
from provctl.journal.frozen import digest, freeze
from provctl.journal.log import Journal, recover

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.events import Event
    from provctl.core.model import Workflow

__all__ = ["append", "disk_full_beyond", "state_folder", "submit"]


def state_folder(path: Path) -> StateFolder:
    """A state directory, ready for runs."""
    folder = StateFolder(path / "state")
    folder.prepare()
    return folder


def submit(
    folder: StateFolder, workflow: Workflow, run: str = "r", **fields: Any
) -> RunFolder:
    """Put a run on disk, submitted at 1000 if not said otherwise."""
    frozen = freeze(workflow)
    given = {"at": 1000.0, "name": workflow.name, "tasks": len(workflow.tasks)}
    submitted = RunSubmitted(run=run, digest=digest(frozen), **{**given, **fields})
    return folder.create_run(submitted, frozen)


def append(run: RunFolder, events: Iterable[Event], *, at_once: bool = True) -> None:
    """Write facts behind those that are there: in one go, or one by one."""
    _, position = recover(run.journal, run.id)
    journal = Journal(run.journal, position)
    for event in events:
        journal.add(event)
        if not at_once:
            journal.commit()
    journal.commit()
    journal.close()


@contextmanager
def disk_full_beyond(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes: a short write, then none."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
