"""The last progress of tasks: from their logs, from the API, or from their output."""

from __future__ import annotations

from dataclasses import replace
from heapq import nlargest
from typing import TYPE_CHECKING, Dict, Tuple

from provctl.core.engine.view import Progress, returned_message
from provctl.nushell.progress_lines import ProgressReader

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.engine.view import RunView
    from provctl.storage.layout import StateDir


_LOOKED_INTO = 1000  # logs of finished tasks; reading more would make `status` slow


class _AttemptProgress:
    """Follows the progress of one attempt."""

    def __init__(self, attempt: int, reader: ProgressReader) -> None:
        self.attempt = attempt
        self.reader = reader
        self.reported = Progress()
        self.newest = Progress()


class TaskProgressReader:
    """The newest progress of each attempt, from the log or the API.

    Without `logs`, only progress that was reported through the API is used.
    """

    def __init__(self, folder: StateDir, *, logs: bool = True) -> None:
        self._folder = folder
        self._logs = logs
        self._listeners: Dict[Tuple[str, str], _AttemptProgress] = {}

    def newest(self, run: RunState, task: TaskState) -> Progress:
        """Return the last progress of a task; reads only what is new in its log."""
        key = (run.submitted.run, task.task.id)
        listener = self._listeners.get(key)
        if listener is None or listener.attempt != task.attempt:
            log = self._folder.run(key[0]).log_of(task.task.index, task.attempt)
            listener = _AttemptProgress(task.attempt, ProgressReader(log))
            self._listeners[key] = listener
        reported = Progress(task.percent, task.message)
        if reported != listener.reported:
            listener.reported = listener.newest = reported
        progress = listener.reader.read() if self._logs else None
        if progress is not None:
            listener.newest = progress
        returned = returned_message(task)
        return (
            replace(listener.newest, message=returned) if returned else listener.newest
        )

    def last(self, run: RunState, picture: RunView) -> RunView:
        """Return a view with the last progress of each task, as far as is known.

        If the output of a finished task has no message, its log is read; of these
        tasks, only those that finished last.
        """
        tasks = [run.tasks[seen.id] for seen in picture.tasks]
        silent = [t for t in tasks if t.status == "finished" and t.attempt]
        silent = [t for t in silent if not returned_message(t)]
        latest = nlargest(_LOOKED_INTO, silent, key=lambda t: t.finished_at or 0.0)
        looked = {t.task.id for t in latest}
        looked |= {t.task.id for t in tasks if t.status == "running" and t.attempt}
        return replace(
            picture,
            tasks=tuple(
                replace(seen, progress=self.newest(run, run.tasks[seen.id]))
                if seen.id in looked
                else seen
                for seen in picture.tasks
            ),
        )

    def forget(self, run_id: str) -> None:
        """Forget the tasks of a run."""
        for key in [key for key in self._listeners if key[0] == run_id]:
            del self._listeners[key]
