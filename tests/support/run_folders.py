"""Runs on disk for tests: a state directory, and journals with given events."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterable, Iterator

from provctl.core.engine.events import RunSubmitted
from provctl.storage.create_run import create_run
from provctl.storage.journal.file import Journal, recover
from provctl.storage.layout import RunDir, StateDir
from provctl.storage.workflow_json import digest, dump_workflow

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.events import Event
    from provctl.core.model.workflow import Workflow

__all__ = ["append", "disk_full_beyond", "state_folder", "submit"]


def state_folder(path: Path) -> StateDir:
    """A state directory, ready for runs."""
    folder = StateDir(path / "state")
    folder.prepare()
    return folder


def submit(
    folder: StateDir, workflow: Workflow, run: str = "r", **fields: Any
) -> RunDir:
    """Write a run to disk, submitted at 1000 by default."""
    frozen = dump_workflow(workflow)
    given = {"at": 1000.0, "name": workflow.name, "tasks": len(workflow.tasks)}
    submitted = RunSubmitted(run=run, digest=digest(frozen), **{**given, **fields})
    return create_run(folder, submitted, frozen)


def append(run: RunDir, events: Iterable[Event], *, at_once: bool = True) -> None:
    """Append events: in one commit, or one by one."""
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
    """No file of this process can exceed so many bytes: a short write, then none."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
