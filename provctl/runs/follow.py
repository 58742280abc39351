"""Follows a run: reads its state from the journal, with or without an owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List

from provctl.base.flock import is_locked
from provctl.core.engine.apply import apply
from provctl.core.engine.state import RunState, State
from provctl.storage.journal.file import JournalReader
from provctl.storage.journal.replay import read_run, replay

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.executors.protocol import AttemptRef
    from provctl.storage.layout import RunDir


class Follower:
    """Reads the journal of one run; each `read` continues where the last one stopped."""

    def __init__(self, folder: RunDir) -> None:
        self.folder = folder
        self.was_owned = False  # just before the latest `read`
        self._state = State(slots=0, capacity={})
        self._reader = JournalReader(folder.journal, folder.id)

    def read(self) -> List[Event]:
        """Read the new events and return them. Raises JournalDamaged, JournalTooNew."""
        # First: if the owner has ended by now, everything it wrote is in the journal.
        self.was_owned = self.owned
        events = self._reader.read()
        if not self._state.runs:
            replay(self._state, self.folder, events)
        else:
            for event in events:
                apply(self._state, event)
        return events

    def read_state(self) -> None:
        """Read the new events, the first time from a checkpoint if one fits.

        Raises what `read` raises.
        """
        if not self._state.runs:
            # First: if the owner has ended by now, everything it wrote is in the
            # journal.
            self.was_owned = self.owned
            self._reader = read_run(self._state, self.folder)
        else:
            self.read()

    @property
    def run(self) -> RunState:
        """The run as of the last `read`."""
        return self._state.runs[self.folder.id]

    @property
    def owned(self) -> bool:
        """Whether a process owns the run now."""
        return is_locked(self.folder.lock)

    def unattended(self) -> Dict[str, str]:
        """The state of running tasks, if the run is orphaned."""
        return ownerless_status(self.folder, self.run, owned=self.was_owned)


def ownerless_status(folder: RunDir, run: RunState, *, owned: bool) -> Dict[str, str]:
    """Describe the running tasks of an orphaned run: task to text.

    The next owner records the same in the journal. `owned` is whether a process owned
    the run before its journal was read.
    """
    from provctl.executors.protocol import AttemptRef

    found: Dict[str, str] = {}
    for task_id in {} if owned or run.outcome is not None else run.active:
        task = run.tasks[task_id]
        if task.status == "running" and task.attempt:
            key = (folder.id, task_id, task.attempt)
            place = AttemptRef(*key, folder.attempts, task.task.index, task.purpose)
            found[task_id] = _word(place)
    return found


def _word(place: AttemptRef) -> str:
    from provctl.core.engine.requests import NeverStartedReport
    from provctl.runs.attempt_store import attempt_store

    store = attempt_store()
    if store.is_running(place):
        return "still running, but orphaned"
    ended = store.exit_report(place)
    if isinstance(ended, NeverStartedReport):
        return f"never started, not yet recorded: {ended.reason}"
    if ended is not None and not ended.result.ran:
        return f"never started, not yet recorded: {ended.problem}"
    if ended is not None:
        code = ended.result.exit_code
        how = "a signal" if code is None else f"exit code {code}"
        return f"finished with {how}, not yet recorded"
    remote = store.remote_status(place)
    if remote:
        return remote
    if not store.is_claimed(place):
        if store.has_evidence(place):
            return "its exit record is missing: the result is unknown"
        return "scheduled, but never started"
    return "its supervisor died: the result is unknown"
