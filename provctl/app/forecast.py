"""Owns what earlier runs say of those that are watched, read a little at a time.

Who watches may be the very process that runs the tasks, so no step of it is long, and
of large journals only the times of the whole are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterable, List, Mapping, Optional

from provctl.app.past import read_past
from provctl.core.pace import Pace, Past, paces
from provctl.journal.summary import account

if TYPE_CHECKING:
    from provctl.core.state import RunState
    from provctl.journal.folder import StateFolder
    from provctl.journal.summary import RunSummary

__all__ = ["Forecast"]

_RUNS = 50  # of a workflow
_LOOKED_AT = 200  # runs in one step, for whether they are of it
_STEP_BYTES = 128 * 1024
_ALL_BYTES = 4 << 20


class _History:
    """The runs of a workflow that ended before some moment; the latest is read first."""

    def __init__(self, folder: StateFolder, found: List[RunSummary]) -> None:
        self._folder = folder
        self._left = found[-_RUNS:]
        self._pasts: List[Past] = []
        self._bytes = _ALL_BYTES
        self.paces: Mapping[str, Pace] = {}

    def step(self) -> bool:
        """Read the next few; return whether there were any."""
        if not self._left:
            return False
        step = _STEP_BYTES
        while self._left and step > 0:
            summary = self._left.pop()
            size = _size_of(self._folder, summary.id)
            past = _whole(summary)
            if size <= self._bytes:
                self._bytes -= size
                step -= size
                past = read_past(self._folder, summary)
            if past is not None:
                self._pasts.append(past)
        if not self._left:
            self.paces = paces(self._pasts[::-1])
            self._pasts.clear()
        return True


class Forecast:
    """The paces of tasks, and of runs, by what came before them."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._unseen: Optional[List[str]] = None
        self._known: List[RunSummary] = []
        self._histories: Dict[str, _History] = {}

    def pace(self, run: RunState, task: str = "") -> Optional[Pace]:
        """Return what is known by now of a task, or of whole runs of that workflow."""
        history = self._histories.get(run.submitted.name)
        return None if history is None else history.paces.get(task)

    def learn(self, runs: Iterable[RunState]) -> bool:
        """Learn a little more for those that go on; return whether there was more."""
        return any(self._step(run) for run in runs if run.outcome is None)

    def _step(self, run: RunState) -> bool:
        """Learn a little more of that workflow; return whether there was more."""
        if self._unseen is None:
            self._unseen = self._folder.run_ids()
        if self._unseen:
            self._look()
            return True
        history = self._histories.get(run.submitted.name)
        if history is None:
            history = _History(self._folder, self._before(run))
            self._histories[run.submitted.name] = history
        return history.step()

    def _look(self) -> None:
        """Learn of the next runs what they are."""
        assert self._unseen
        some, self._unseen = self._unseen[:_LOOKED_AT], self._unseen[_LOOKED_AT:]
        found = (account(self._folder.run(run_id)) for run_id in some)
        self._known += [run for run in found if run.outcome is not None]
        if not self._unseen:
            self._known.sort(key=lambda run: (run.created_at, run.id))

    def _before(self, run: RunState) -> List[RunSummary]:
        return [
            other
            for other in self._known
            if other.name == run.submitted.name
            and other.finished_at is not None
            and other.finished_at <= run.submitted.at
        ]


def _whole(summary: RunSummary) -> Optional[Past]:
    """Of a run only how it ended and how long it took."""
    if summary.outcome is None or summary.finished_at is None:
        return None
    made_at, ended_at = summary.created_at, summary.finished_at
    return Past(summary.id, summary.outcome, made_at, made_at, ended_at)


def _size_of(folder: StateFolder, run_id: str) -> int:
    try:
        return folder.run(run_id).journal.stat().st_size
    except OSError:
        return 0
