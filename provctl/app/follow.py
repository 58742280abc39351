"""Owns reading along: the state of a run from its journal, with or without an owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List

from provctl.core.machine import apply
from provctl.core.state import RunState, State
from provctl.flock import is_locked
from provctl.journal.log import JournalReader
from provctl.journal.replay import replay

if TYPE_CHECKING:
    from provctl.core.events import Event
    from provctl.executors.base import Place
    from provctl.journal.folder import RunFolder

__all__ = ["Follower"]


class Follower:
    """Folds one run's journal, and goes on where it was at every `read`."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._state = State(slots=0, capacity={})
        self._reader = JournalReader(folder.journal, folder.id)

    def read(self) -> List[Event]:
        """Take in what is new and return it. Raises JournalDamaged, JournalTooNew."""
        events = self._reader.read()
        if not self._state.runs:
            replay(self._state, self.folder, events)
        else:
            for event in events:
                apply(self._state, event)
        return events

    @property
    def run(self) -> RunState:
        """The run as of the last `read`."""
        return self._state.runs[self.folder.id]

    @property
    def owned(self) -> bool:
        """Whether some process takes care of the run now."""
        return is_locked(self.folder.lock)

    def unattended(self) -> Dict[str, str]:
        """What became of running tasks while nobody owns the run: task to words.

        The next owner writes the same into the journal; until then this is the
        honest answer.
        """
        from provctl.executors.base import Place

        found = {}
        for task_id in self.run.active:
            task = self.run.tasks[task_id]
            if task.status != "running" or not task.attempt:
                continue
            folder, index = self.folder.attempts, task.task.index
            key = (self.folder.id, task_id, task.attempt)
            found[task_id] = _word(Place(*key, folder, index, task.purpose))
        return found


def _word(place: Place) -> str:
    from provctl.executors import record

    if record.is_running(place):
        return "still running, without an owner"
    ended = record.ended(place)
    if ended is not None and not ended.ran:
        return f"never began, not yet recorded: {ended.problem}"
    if ended is not None:
        how = f"exit code {ended.exit_code}" if ended.signal is None else "a signal"
        return f"ended with {how}, not yet recorded"
    if not place.file("go").exists():
        return "decided, but it never began"
    return "its supervisor died: nobody can know how it ended"
