"""Acquires a run: locks it, replays its journal, and becomes its only writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.apply import close_run
from provctl.errors import NotFound, RequestRejected, StateDirError
from provctl.storage.journal.checkpoint import load
from provctl.storage.journal.file import Journal, recover
from provctl.storage.journal.replay import replay, replay_from_checkpoint
from provctl.storage.lock import lock_owner

if TYPE_CHECKING:
    from provctl.core.engine.state import State
    from provctl.scheduler.run_locks import RunLocks
    from provctl.storage.journal.file import JournalOffset
    from provctl.storage.layout import RunDir
    from provctl.storage.lock import Lock, LockOwner


@light_dataclass
class OwnedRun:
    """A run of this owner. `rebooted`: the machine rebooted since the last owner."""

    folder: RunDir
    journal: Journal
    lock: Lock
    rebooted: bool

    def release(self) -> None:
        """Release the run for the next owner."""
        self.journal.close()
        self.lock.release()


def acquire(
    state: State, folder: RunDir, holder: LockOwner, locks: RunLocks
) -> OwnedRun:
    """Lock a run and bring `state` up to the end of its journal.

    Takes the lock from `locks`, without a wait. Raises RequestRejected if the run has
    an owner, NotFound, JournalDamaged, JournalTooNew, StateDirError; `state` then
    contains nothing of the run.
    """
    try:
        lock = locks.take(folder)
    except StateDirError:
        if not folder.path.is_dir():
            message = f"run {folder.id} does not exist"
            raise NotFound(message) from None
        folder.check_lock()
        raise
    if lock is None:
        raise ownership_error(folder)
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
    return OwnedRun(folder, journal, lock, rebooted=boot not in ("", holder.boot))


def _bring_up(state: State, folder: RunDir) -> JournalOffset:
    """Load a run from its journal, starting at the checkpoint if one fits."""
    checkpoint = load(folder)
    if checkpoint is not None:
        events, position = recover(folder.journal, folder.id, checkpoint.position)
        if replay_from_checkpoint(state, folder, checkpoint, events):
            return position
    events, position = recover(folder.journal, folder.id)
    replay(state, folder, events)
    return position


def ownership_error(folder: RunDir) -> RequestRejected:
    """Return the refusal that names the owner of a run."""
    holder = lock_owner(folder.lock)
    who = "another process"
    if holder is not None:
        what = "the scheduler" if holder.kind == "scheduler" else "a foreground run"
        who = f"{what}, process {holder.pid}"
    message = f"run {folder.id} already has an owner: {who}"
    return RequestRejected(message, hint=f"watch it: provctl monitor {folder.id}")
