"""Owns the wider view of a run: beside it all that shares its slots, and its past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Mapping, Optional, Tuple

from provctl.app.expected import chart_of_run, recent_paces
from provctl.byte_locks import AVAILABLE
from provctl.core.lanes import SLOTS, pool
from provctl.core.pace import Pace, expected_end
from provctl.core.state import State
from provctl.errors import ProvctlError
from provctl.journal.lock import holder_of
from provctl.journal.log import JournalReader
from provctl.journal.replay import replay
from provctl.journal.slots import holders

if TYPE_CHECKING:
    from provctl.app.expected import Chart
    from provctl.core.explain import Elsewhere
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import StateFolder

__all__ = ["Outlook", "held_elsewhere", "shared_state"]


def shared_state(
    folder: StateFolder, run_id: str, *, slots: int, capacity: Mapping[str, int]
) -> State:
    """Return the state of a run, and of all others that its owner has in hand.

    With the limits of the owner, or of the scheduler that will be; `slots` and
    `capacity` where there is none. Raises JournalDamaged and JournalTooNew if that
    is the run's own journal.
    """
    own = folder.run(run_id)
    owner = holder_of(own.lock) or holder_of(folder.scheduler / "lock")
    if owner is not None and owner.slots is not None and owner.pools is not None:
        slots, capacity = owner.slots, owner.pools
    state = State(slots=slots, capacity=capacity)
    replay(state, own, JournalReader(own.journal, run_id).read())
    if owner is not None and owner.kind == "foreground":
        return state
    if state.runs[run_id].outcome is not None:
        return state
    for other_id in folder.queued():
        other = folder.run(other_id)
        if other_id == run_id:
            continue
        try:
            replay(state, other, JournalReader(other.journal, other_id).read())
        except ProvctlError:
            continue  # nor does the owner have it
    return state


def held_elsewhere(folder: StateFolder, state: State, slots: int) -> Elsewhere:
    """Return what other owners than that of `state` have, of what it shares with them.

    They run `slots` tasks together; these are named if all of them are taken.
    """
    sizes = {SLOTS: slots, **{pool(n): size for n, size in state.capacity.items()}}
    found: Dict[str, Dict[Tuple[str, str], int]] = {}
    for resource, size in sizes.items():
        units = holders(folder.slots, resource, size) if AVAILABLE else {}
        others = {key: n for key, n in units.items() if not _is_running(state, *key)}
        if others:
            found[resource] = others
    if state.running + len(found.get(SLOTS, ())) < slots:
        found.pop(SLOTS, None)
    return found


def _is_running(state: State, run_id: str, task_id: str) -> bool:
    return run_id in state.runs and task_id in state.runs[run_id].active


class Outlook:
    """When running tasks are expected to end, by earlier runs and what they say."""

    def __init__(self, folder: StateFolder, now: float) -> None:
        self._folder = folder
        self._now = now
        self._paces: Dict[str, Dict[str, Pace]] = {}

    def paces(self, name: str) -> Dict[str, Pace]:
        """Return what earlier runs of a workflow say of its tasks."""
        if name not in self._paces:
            self._paces[name] = recent_paces(self._folder, name)
        return self._paces[name]

    def chart(self, run: RunState) -> Optional[Chart]:
        """Return what decides when a run ends; None where nothing can be known of it."""
        usual = {
            name: pace.p50_s
            for name, pace in self.paces(run.submitted.name).items()
            if pace.p50_s is not None
        }
        if run.rolling_back or (run.outcome is None and not usual):
            return None
        return chart_of_run(run, run.finished_at or self._now, usual)

    def expected_end(self, run: RunState, task: TaskState) -> Optional[float]:
        """Return when a task is expected to end, in seconds since the epoch, or None."""
        if task.started_at is None or task.purpose != "run":
            return None
        pace = self.paces(run.submitted.name).get(task.task.id)
        return expected_end(pace, task.started_at, self._now, task.percent)
