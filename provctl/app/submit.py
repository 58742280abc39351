"""Owns submission: a workflow becomes a run on disk, and is handed to the scheduler."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from provctl.core.events import RunSubmitted
from provctl.journal.frozen import digest, freeze
from provctl.scheduler.clock import Clock

if TYPE_CHECKING:
    from provctl.core.model import Workflow
    from provctl.journal.folder import StateFolder

__all__ = ["Wishes", "new_id", "submit"]

# No vowels and nothing that is easily mistaken: ids are read aloud and typed.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_SYMBOLS = _LETTERS + "23456789"


@dataclass(frozen=True)
class Wishes:
    """How a run is to be treated. `max_parallel` limits this run alone."""

    priority: int = 0
    batch: Optional[str] = None
    max_parallel: Optional[int] = None
    fail_fast: bool = False


def new_id() -> str:
    """Return a fresh id: ten symbols, the first a letter; 48 bits of chance."""
    chance = os.urandom(10)
    first = _LETTERS[chance[0] % len(_LETTERS)]
    return first + "".join(_SYMBOLS[byte % len(_SYMBOLS)] for byte in chance[1:])


def submit(folder: StateFolder, workflow: Workflow, wishes: Wishes) -> str:
    """Put a run on disk and return its id. It survives a power cut by then.

    Raises StateUnusable.
    """
    folder.prepare()
    run_id = new_id()
    frozen = freeze(workflow)
    submitted = RunSubmitted(
        run_id,
        Clock().now(),
        workflow.name,
        len(workflow.tasks),
        digest(frozen),
        priority=wishes.priority,
        batch=wishes.batch,
        max_parallel=wishes.max_parallel,
        fail_fast=wishes.fail_fast,
    )
    folder.create_run(submitted, frozen)
    return run_id
