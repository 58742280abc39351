"""Earlier states of a run: replays its journal to a time, a record, or stepwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Sequence

from provctl.core.engine.apply import apply
from provctl.core.engine.state import RunState, State
from provctl.errors import NotFound
from provctl.storage.journal.file import JournalReader
from provctl.storage.journal.replay import replay

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.storage.layout import RunDir


def events_of(folder: RunDir) -> List[Event]:
    """Return all events of a run. Raises JournalDamaged, JournalTooNew."""
    return JournalReader(folder.journal, folder.id).read()


def state_at_time(folder: RunDir, at: float) -> RunState:
    """Return the run as it was at a time, in seconds since the epoch. Raises NotFound.

    The order of events is that of the journal: the last event that is not later than
    the time is applied, and all events before it.
    """
    events = events_of(folder)
    last = max((n for n, event in enumerate(events, 1) if event.at <= at), default=0)
    if not last:
        message = f"run {folder.id} did not exist yet"
        raise NotFound(message, hint=f"see: provctl journal tail {folder.id}")
    return _apply_all(folder, events[:last])


def state_at_record(folder: RunDir, seq: int) -> RunState:
    """Return the run as it was after a record, counted from 1. Raises NotFound."""
    events = events_of(folder)
    if not 1 <= seq <= len(events):
        message = f"the journal of run {folder.id} has records 1 to {len(events)}"
        raise NotFound(message, hint=f"see: provctl journal tail {folder.id}")
    return _apply_all(folder, events[:seq])


def _apply_all(folder: RunDir, events: Sequence[Event]) -> RunState:
    state = State(slots=0, capacity={})
    replay(state, folder, events)
    return state.runs[folder.id]


class JournalPlayer:
    """Replays a run, event by event; `run` is its state after the last one."""

    def __init__(self, folder: RunDir) -> None:
        self._events = events_of(folder)
        self._state = State(slots=0, capacity={})
        replay(self._state, folder, self._events[:1])
        self._told = 1
        self.run = self._state.runs[folder.id]

    @property
    def next_at(self) -> Optional[float]:
        """When the next event happened, in seconds since the epoch; None at the end."""
        if self._told == len(self._events):
            return None
        return self._events[self._told].at

    def step(self) -> Event:
        """Apply the next event, and return it."""
        event = self._events[self._told]
        self._told += 1
        apply(self._state, event)
        return event
