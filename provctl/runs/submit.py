"""Submission: creates a run on disk from a workflow, and enqueues it.

The submitter may give a key: submitting again with the same key returns the same run.
The run's id is derived from the key, so the file system decides between any number of
submitters. There is no other record of keys that could be lost or stale.
"""

from __future__ import annotations

import os
from dataclasses import field
from typing import TYPE_CHECKING, Dict, Mapping, Optional

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.events import RunSubmitted
from provctl.core.model.labels import check_labels
from provctl.errors import DuplicateKey, UsageError
from provctl.scheduler.clock import Clock
from provctl.storage.create_run import RunExists, create_run
from provctl.storage.workflow_json import canonical_json, digest, dump_workflow

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow
    from provctl.storage.layout import RunDir, StateDir


# No vowels and no letters that are easily confused: ids are read aloud and typed.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_SYMBOLS = _LETTERS + "23456789"
_KEY_MAX = 200  # characters
# Random ids do not collide by chance, but others choose the keys: 75 bits.
_KEYED_LENGTH = 16


@light_dataclass
class SubmitOptions:
    """Options of a run. `max_parallel` applies if the workflow has no lower limit.

    With a `key`, the run is the same as any earlier one with that key; None creates a
    new run. `labels` are added to those of the workflow and take precedence.
    """

    priority: int = 0
    batch: Optional[str] = None
    max_parallel: Optional[int] = None
    fail_fast: bool = False
    key: Optional[str] = None
    labels: Mapping[str, str] = field(default_factory=dict)


def new_id() -> str:
    """Return a new id: ten symbols, the first a letter; 48 random bits."""
    return _to_base(int.from_bytes(os.urandom(16), "big"), 10)


def run_id_for_key(key: str, part: object = 0) -> str:
    """Return the id that is derived from a key, for its first or another `part`."""
    import json
    from hashlib import sha256

    whole = json.dumps([key, part])
    return _to_base(int(sha256(whole.encode("ascii")).hexdigest(), 16), _KEYED_LENGTH)


def _to_base(number: int, length: int) -> str:
    number, first = divmod(number, len(_LETTERS))
    text = _LETTERS[first]
    while len(text) < length:
        number, symbol = divmod(number, len(_SYMBOLS))
        text += _SYMBOLS[symbol]
    return text


def submit(
    folder: StateDir, workflow: Workflow, wishes: SubmitOptions, *, part: int = 0
) -> str:
    """Create a run on disk and return its id. On return it survives a power cut.

    If the key was used before, nothing is written and the existing run is returned.
    `part` numbers the runs of a batch with one key. Raises StateDirError, UsageError
    for an invalid key, DuplicateKey if the key is used by a different submission, and
    JournalDamaged or JournalTooNew if the run with the key cannot be read.
    """
    folder.prepare()
    if wishes.key is None:
        return _create(folder, new_id(), workflow, wishes)
    _check_key(wishes.key)
    run = folder.run(run_id_for_key(wishes.key, part))
    if not run.path.exists():
        try:
            return _create(folder, run.id, workflow, wishes)
        except RunExists:
            pass  # another process is submitting it at this moment
    _check_same(run, workflow, wishes)
    folder.sync_run_index()
    return run.id


def submit_and_enqueue(
    folder: StateDir, workflow: Workflow, wishes: SubmitOptions
) -> str:
    """Submit a run, enqueue it for the scheduler, and return its id.

    Raises what `submit` raises.
    """
    with folder.submitting():
        run_id = submit(folder, workflow, wishes)
        enqueue_if_unfinished(folder, run_id)
    return run_id


def enqueue_if_unfinished(folder: StateDir, run_id: str) -> None:
    """Enqueue a run unless it has finished; its submitter may have died before that."""
    from provctl.storage.run_summary import summarise

    if summarise(folder.run(run_id)).outcome is None:
        folder.enqueue(run_id)


def merge_labels(workflow: Workflow, labels: Mapping[str, str]) -> Dict[str, str]:
    """Return the labels of a run of the workflow. Raises UsageError."""
    every = {**workflow.labels, **labels}
    try:
        check_labels(every)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    return every


def _create(
    folder: StateDir, run_id: str, workflow: Workflow, wishes: SubmitOptions
) -> str:
    frozen = dump_workflow(workflow)
    labels = merge_labels(workflow, wishes.labels)
    limits = filter(None, (wishes.max_parallel, workflow.max_parallel))
    submitted = RunSubmitted(
        run_id,
        Clock().now(),
        workflow.name,
        len(workflow.tasks),
        digest(frozen),
        priority=wishes.priority,
        batch=wishes.batch,
        max_parallel=min(limits, default=None),
        fail_fast=wishes.fail_fast,
        key=wishes.key or "",
        labels=labels,
    )
    create_run(folder, submitted, frozen)
    return run_id


def _check_key(key: str) -> None:
    # An empty key is most likely a shell variable that was never set.
    if not 1 <= len(key) <= _KEY_MAX:
        message = (
            f"an idempotency key must have 1 to {_KEY_MAX} characters, not {len(key)}"
        )
        raise UsageError(message)
    try:
        key.encode()
    except UnicodeEncodeError:
        message = "an idempotency key must be valid UTF-8"
        raise UsageError(message) from None


def _check_same(run: RunDir, workflow: Workflow, wishes: SubmitOptions) -> None:
    """Raise DuplicateKey unless a run equals the submission."""
    from provctl.storage.run_summary import read_submission

    before = read_submission(run)
    taken = (
        f"idempotency key {wishes.key!r} is already used: run {run.id} ({before.name})"
    )
    hint = (
        "use another key for different content; to see the run: provctl status"
        f" {run.id}"
    )
    if before.key != wishes.key:
        message = f"{taken} has the id derived from this key, but another key"
    elif before.batch != wishes.batch:
        how = f"in {before.batch}" if before.batch else "by itself"
        message = f"{taken} was submitted {how}"
    elif canonical_json(run.load_workflow(before.digest)) != canonical_json(workflow):
        message = f"{taken} has a different workflow"
    else:
        return
    raise DuplicateKey(message, hint=hint)
