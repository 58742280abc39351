"""Owns taking a run over: lock, replay, and being its one writer from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provctl.core.machine import close_run
from provctl.errors import NotFound, Refused, StateUnusable
from provctl.journal.checkpoint import load
from provctl.journal.lock import Lock, holder_of
from provctl.journal.log import Journal, recover
from provctl.journal.replay import go_on, replay

if TYPE_CHECKING:
    from provctl.core.state import State
    from provctl.journal.folder import RunFolder
    from provctl.journal.lock import Holder
    from provctl.journal.log import Position

__all__ = ["Owned", "owned_by_other", "take_run"]


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

    Raises Refused if it has an owner, NotFound, JournalDamaged, JournalTooNew,
    StateUnusable; then `state` has nothing of it.
    """
    if not folder.path.is_dir():
        message = f"there is no run {folder.id}"
        raise NotFound(message)
    try:
        lock = Lock.take(folder.lock)
    except StateUnusable:
        folder.check_lock()
        raise
    if lock is None:
        raise owned_by_other(folder)
    try:
        lock.describe(holder)
        position = _bring_up(state, folder)
        try:
            journal = Journal(folder.journal, position)
        except BaseException:
            close_run(state, folder.id)
            raise
    except BaseException:
        lock.release()
        raise
    boot = state.runs[folder.id].boot
    return Owned(folder, journal, lock, rebooted=boot not in ("", holder.boot))


def _bring_up(state: State, folder: RunFolder) -> Position:
    """Open a run as its journal has it: from the checkpoint on if one fits."""
    checkpoint = load(folder)
    if checkpoint is not None:
        events, position = recover(folder.journal, folder.id, checkpoint.position)
        if go_on(state, folder, checkpoint, events):
            return position
    events, position = recover(folder.journal, folder.id)
    replay(state, folder, events)
    return position


def owned_by_other(folder: RunFolder) -> Refused:
    """Return the refusal that names the owner of a run."""
    holder = holder_of(folder.lock)
    who = "another process"
    if holder is not None:
        what = "the scheduler" if holder.kind == "scheduler" else "a foreground run"
        who = f"{what}, process {holder.pid}"
    message = f"run {folder.id} has an owner already: {who}"
    return Refused(message, hint=f"watch it: provctl workflow monitor {folder.id}")
