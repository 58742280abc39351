"""Replay: applies a run's journal to a state, exactly as it happened live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from provctl.core.engine.apply import apply, close_run, open_run
from provctl.core.engine.events import RunSubmitted
from provctl.core.engine.snapshot import restore
from provctl.core.engine.transitions import InvalidTransition
from provctl.errors import JournalDamaged
from provctl.storage.journal.checkpoint import load
from provctl.storage.journal.file import JournalReader

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.core.engine.state import State
    from provctl.core.model.workflow import Workflow
    from provctl.storage.journal.checkpoint import Checkpoint
    from provctl.storage.layout import RunDir


def replay(state: State, folder: RunDir, events: Sequence[Event]) -> None:
    """Open a run in `state` and apply its journal.

    Raises JournalDamaged or JournalTooNew; then `state` has nothing of the run.
    """
    if not events:
        message = (
            f"{folder.journal}: damaged at record 1: it contains no complete record"
        )
        raise JournalDamaged(message, hint="nothing was changed")
    first = events[0]
    if not isinstance(first, RunSubmitted):
        message = f"{folder.journal}: its first record is not the submission"
        raise JournalDamaged(message, record=1)
    open_run(state, first, _workflow(state, folder, first.digest))
    for record, event in enumerate(events[1:], 2):
        try:
            apply(state, event)
        except InvalidTransition as problem:
            close_run(state, folder.id)
            message = f"{folder.journal}: damaged at record {record}: {problem}"
            raise JournalDamaged(
                message, hint="nothing was changed", record=record
            ) from None


def read_run(state: State, folder: RunDir) -> JournalReader:
    """Open a run in `state` as it is now, from a checkpoint if one fits.

    Returns a reader that continues from there. Raises what `replay` and the reader
    raise.
    """
    checkpoint = load(folder)
    if checkpoint is not None:
        reader = JournalReader(folder.journal, folder.id, checkpoint.position)
        if replay_from_checkpoint(state, folder, checkpoint, reader.read()):
            return reader
    reader = JournalReader(folder.journal, folder.id)
    replay(state, folder, reader.read())
    return reader


def replay_from_checkpoint(
    state: State, folder: RunDir, checkpoint: Checkpoint, events: Sequence[Event]
) -> bool:
    """Do the same as `replay`, from a checkpoint; return whether that worked.

    If not, `state` has nothing of the run. Raises JournalDamaged or JournalTooNew if
    workflow.json is not the submitted one.
    """
    submitted = checkpoint.submitted
    workflow = _workflow(state, folder, submitted.digest)
    try:
        restore(state, submitted, workflow, checkpoint.state)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    try:
        for event in events:
            apply(state, event)
    except InvalidTransition:
        close_run(state, folder.id)
        return False
    return True


def _workflow(state: State, folder: RunDir, digest: str) -> Workflow:
    """Return the workflow of a run. Runs of the same workflow share one object."""
    workflow = folder.load_workflow(digest, known=state.workflows)
    state.workflows[digest] = workflow
    return workflow
