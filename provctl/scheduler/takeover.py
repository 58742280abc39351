"""Owns taking a run over: lock, replay, and being its one writer from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provctl.core.events import RunSubmitted
from provctl.core.machine import IllegalEvent, apply, close_run, open_run
from provctl.errors import JournalDamaged, NotFound, Refused
from provctl.journal.lock import Lock, holder_of
from provctl.journal.log import Journal, recover

if TYPE_CHECKING:
    from typing import List

    from provctl.core.events import Event
    from provctl.core.state import State
    from provctl.journal.folder import RunFolder
    from provctl.journal.lock import Holder

__all__ = ["Owned", "replay", "take_run"]


@dataclass(frozen=True)
class Owned:
    """A run in our hands. `rebooted`: the machine was, since its last owner."""

    folder: RunFolder
    journal: Journal
    lock: Lock
    rebooted: bool

    def release(self) -> None:
        """Let the next owner have it."""
        self.journal.close()
        self.lock.release()


def take_run(state: State, folder: RunFolder, holder: Holder) -> Owned:
    """Lock a run and bring `state` up to its journal's end.

    Raises Refused if it has an owner, NotFound, JournalDamaged, JournalTooNew;
    then `state` is as it was.
    """
    if not folder.path.is_dir():
        message = f"there is no run {folder.id}"
        raise NotFound(message)
    lock = Lock.take(folder.lock)
    if lock is None:
        raise _owned_by_other(folder)
    try:
        lock.describe(holder)
        events, position = recover(folder.journal, folder.id)
        replay(state, folder, events)
    except BaseException:
        lock.release()
        raise
    boot = state.runs[folder.id].boot
    rebooted = boot not in ("", holder.boot)
    return Owned(folder, Journal(folder.journal, position), lock, rebooted)


def replay(state: State, folder: RunFolder, events: List[Event]) -> None:
    """Open a run in `state` and apply its journal, exactly as it happened live.

    Raises JournalDamaged or JournalTooNew; then `state` is as it was.
    """
    first = events[0]
    if not isinstance(first, RunSubmitted):
        message = f"{folder.journal}: its first record is not the submission"
        raise JournalDamaged(message)
    open_run(state, first, folder.load_workflow())
    try:
        for event in events[1:]:
            apply(state, event)
    except IllegalEvent as problem:
        close_run(state, folder.id)
        message = f"{folder.journal}: {problem}"
        raise JournalDamaged(message, hint="nothing was changed") from None


def _owned_by_other(folder: RunFolder) -> Refused:
    holder = holder_of(folder.lock)
    who = "another process"
    if holder is not None:
        what = "the scheduler" if holder.kind == "scheduler" else "a foreground run"
        who = f"{what}, process {holder.pid}"
    message = f"run {folder.id} has an owner already: {who}"
    return Refused(message, hint=f"watch it: provctl workflow monitor {folder.id}")
