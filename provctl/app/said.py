"""Owns what running tasks said last of their progress: in their logs, or by the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Tuple

from provctl.core.view import Progress
from provctl.nushell.progress import ProgressReader

if TYPE_CHECKING:
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import StateFolder

__all__ = ["Said"]


class _Listener:
    """Hears one try. `reported` is what of the state it has heard already."""

    def __init__(self, attempt: int, reader: ProgressReader) -> None:
        self.attempt = attempt
        self.reader = reader
        self.reported = Progress()
        self.newest = Progress()


class Said:
    """The newest word of each try; of both ways in which it may come, the later.

    Without `logs` only what was reported counts.
    """

    def __init__(self, folder: StateFolder, *, logs: bool = True) -> None:
        self._folder = folder
        self._logs = logs
        self._listeners: Dict[Tuple[str, str], _Listener] = {}

    def newest(self, run: RunState, task: TaskState) -> Progress:
        """Return what a task said last, reading only what is new in its log."""
        key = (run.submitted.run, task.task.id)
        listener = self._listeners.get(key)
        if listener is None or listener.attempt != task.attempt:
            log = self._folder.run(key[0]).log_of(task.task.index, task.attempt)
            listener = _Listener(task.attempt, ProgressReader(log))
            self._listeners[key] = listener
        reported = Progress(task.percent, task.said)
        if reported != listener.reported:
            listener.reported = listener.newest = reported
        said = listener.reader.read() if self._logs else None
        if said is not None:
            listener.newest = said
        return listener.newest

    def forget(self, run_id: str) -> None:
        """Forget the tasks of a run."""
        for key in [key for key in self._listeners if key[0] == run_id]:
            del self._listeners[key]
