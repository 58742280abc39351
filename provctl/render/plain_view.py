"""The view for pipes, logs and CI: one plain line for each change.

It does not import rich, and only processes what changed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    TextIO,
    Tuple,
    Type,
)

from provctl.render import text as lines

if TYPE_CHECKING:
    from types import TracebackType

    from provctl.core.engine.view import RunView, TaskView


_WIDEST_ID_COLUMN = 40

# A task gets a new line if one of these differs: status, outcome, attempt.
_Standing = Tuple[str, Optional[str], int]


def choose_view(stream: TextIO, environ: Mapping[str, str]) -> str:
    """Choose "live" for a suitable terminal, "group" in a CI job, else "plain".

    Jobs are those of CI systems whose logs have groups, see `render.ci_dialects`.
    """
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    in_job = "true" in map(environ.get, ("GITHUB_ACTIONS", "GITLAB_CI"))
    dumb = environ.get("TERM", "") in ("dumb", "unknown")
    if in_job:
        return "group"
    return "live" if stream.isatty() and not in_ci and not dumb else "plain"


class PlainView:
    """Prints what changed since the last update, in order for each run.

    `now` gives seconds since the epoch; `stamp` turns them into the time of day before
    each line about a task, None for none; `program` is the prefix of commands in hints.
    The first update that cannot be written raises its OSError, because the watcher of a
    run may have to react; `close` never raises it.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        now: Callable[[], float],
        stamp: Optional[Callable[[float], str]] = None,
        program: str = "provctl",
    ) -> None:
        self._stream: Optional[TextIO] = stream
        self._now = now
        self._stamp = stamp
        self._program = program
        self._run_status: Dict[str, str] = {}
        self._told: Dict[Tuple[str, str], _Standing] = {}
        self._short: Set[Tuple[str, str]] = set()  # tasks whose shortage was reported
        self._id_column = 0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        return None

    @property
    def due(self) -> bool:
        """Whether an update is needed now: always, because none may be missed."""
        return True

    def update(self, views: Sequence[RunView]) -> None:
        """Print what changed since the last views of these runs."""
        for view in views:  # first: with several runs, each line names its run
            self._run_status.setdefault(view.id, "")
        self._write([line for v in views for line in self._account(v, v.tasks)])

    def changed(self, run: RunView, tasks: Sequence[TaskView]) -> None:
        """Print what changed, if the caller knows which tasks did.

        The cost depends on `tasks` only; `run.tasks` is not read.
        """
        self._write(self._account(run, tasks))

    def close(self, final_views: Sequence[RunView]) -> None:
        """Print remaining changes, then how each run finished."""
        with suppress(OSError):
            self.update(final_views)
            for view in final_views:
                self._write(lines.run_finished(view, self._program))

    def _account(self, run: RunView, tasks: Sequence[TaskView]) -> List[str]:
        status = self._run_status.get(run.id, "")
        self._run_status[run.id] = run.status
        account: List[str] = []
        change: List[str] = []
        if not status:
            account.append(lines.run_started(run))
        elif status != run.status != "finished":  # `close` reports the end
            change.append(lines.run_changed(run))
        fresh = [task for task in tasks if self._is_news(run.id, task)]
        if run.status != "rolling_back":
            return account + change + self._lines(run, fresh)
        # Failures come before it, undone tasks after it.
        undos = [task for task in fresh if task.purpose == "undo"]
        others = [task for task in fresh if task.purpose != "undo"]
        return account + self._lines(run, others) + change + self._lines(run, undos)

    def _lines(self, run: RunView, fresh: Sequence[TaskView]) -> List[str]:
        if not fresh:
            return []
        longest = max(len(task.id) for task in fresh)
        self._id_column = min(max(self._id_column, longest), _WIDEST_ID_COLUMN)
        now = self._now()
        prefix = f"{self._stamp(now)} " if self._stamp is not None else ""
        if len(self._run_status) > 1:
            prefix += f"{lines.sanitize(run.id)}  "
        width = self._id_column
        return [prefix + lines.task_line(task, width=width, now=now) for task in fresh]

    def _is_news(self, run_id: str, task: TaskView) -> bool:
        key = (run_id, task.id)
        standing = (task.status, task.outcome, task.attempt)
        if self._told.get(key) == standing:
            return False
        self._told[key] = standing
        if task.shortage and key not in self._short:
            self._short.add(key)
            return True
        return task.status not in ("waiting", "ready")

    def _write(self, account: Sequence[str]) -> None:
        if not account or self._stream is None:
            return
        text = "\n".join(account) + "\n"
        try:
            self._stream.write(lines.encodable(text, self._stream.encoding or "utf-8"))
            self._stream.flush()
        except OSError:
            self._stream = None
            raise


class ResultView(PlainView):
    """Prints only how each run finished."""

    def update(self, views: Sequence[RunView]) -> None:
        """Print nothing about active runs."""

    def changed(self, run: RunView, tasks: Sequence[TaskView]) -> None:
        """Print nothing about changes."""
