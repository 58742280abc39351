"""The pages of one run's tasks in the API: encoded once, kept up to date."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Dict, Iterable, List, Mapping, Optional

from provctl.api.http.responses import as_json
from provctl.api.http.serializers import platform_task_record, status_of
from provctl.core.engine import events as ev
from provctl.core.engine.reopen import why_stale
from provctl.core.engine.view import Progress

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState


# Events that change one task, and at most whether its neighbours wait or are ready.
_OF_ONE_TASK = (
    ev.AttemptStarted,
    ev.AttemptAdopted,
    ev.AttemptDiscarded,
    ev.AttemptStopping,
    ev.AttemptSuspended,
    ev.AttemptResumed,
    ev.AttemptFinished,
    ev.ProgressReported,
    ev.RetryDue,
    ev.ProbeDue,
    ev.TaskHeld,
    ev.TaskSkipped,
    ev.TaskFailed,
    ev.GroupStarted,
    ev.GroupFinished,
)


class TaskPageCache:
    """The tasks of a run in file order; each record is encoded on demand."""

    def __init__(self, run: RunState) -> None:
        self.run = run
        self.counts: Counter[str] = Counter()
        self._status: Dict[str, str] = {}
        self._text: Dict[str, bytes] = {}
        self._said: Dict[str, Progress] = {}
        self._stale = why_stale(run)
        self._unattended: Mapping[str, str] = {}
        self._renew(run.tasks)

    def __len__(self) -> int:
        return len(self._status)

    def on_event(self, events: Iterable[ev.Event]) -> None:
        """Update the cache with the events of the run."""
        changed: Dict[str, None] = {}
        for event in events:
            if isinstance(event, _OF_ONE_TASK):
                changed[event.task] = None
                if isinstance(event, ev.ProgressReported):
                    self._said.pop(event.task, None)  # the event is newer
                for other, _ in self.run.dependents.get(event.task, ()):
                    changed[other] = None
                for other in self.run.children.get(event.task, ()):
                    changed[other] = None
            elif isinstance(event, ev.RunFinished) and not why_stale(self.run):
                continue
            elif not isinstance(event, ev.OwnershipTaken):
                self._stale = why_stale(self.run)
                self._renew(self.run.tasks)
                return
        self._renew(changed)

    def on_events(self, name: str, said: Progress) -> bool:
        """Store the progress of a running task; return whether it changed."""
        if self._said.get(name, Progress()) == said:
            return False
        self._said[name] = said
        self._text.pop(name, None)
        return True

    def leave(self, unattended: Mapping[str, str]) -> None:
        """Add the state of running tasks of an orphaned run."""
        changed = {**self._unattended, **unattended}
        self._unattended = unattended
        self._renew(changed)

    def _renew(self, names: Iterable[str]) -> None:
        for name in names:
            status = status_of(self.run.tasks[name])
            before = self._status.get(name)
            if before != status:
                if before is not None:
                    self.counts[before] -= 1
                self.counts[status] += 1
                self._status[name] = status
                self._said.pop(name, None)
            self._text.pop(name, None)

    def count(self, status: Optional[str]) -> int:
        """Return how many tasks have a status; None means any."""
        return len(self) if status is None else self.counts[status]

    def records_json(self, status: Optional[str], start: int, most: int) -> List[bytes]:
        """Return up to `most` records of tasks that have a status, as JSON."""
        names = list(self._status)
        if status is not None:
            names = [name for name in names if self._status[name] == status]
        return [self._text_of(name) for name in names[start : start + most]]

    def _text_of(self, name: str) -> bytes:
        text = self._text.get(name)
        if text is None:
            record = platform_task_record(
                self.run,
                self.run.tasks[name],
                whole=False,
                stale=self._stale,
                unattended=self._unattended,
                said=self._said.get(name),
            )
            text = self._text[name] = as_json(record)
        return text
