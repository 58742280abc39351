"""The view for pipes, logs and CI: one plain line a transition.

It imports no rich and does work only for what changed.
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

# What has to differ for a task to be worth a line: status, outcome, attempt.
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
    """Prints what changed since the last update, each run's account in order.

    `now` gives seconds since the epoch; `stamp` turns them into the time of day
    that begins each task's line, None for none; `program` is what commands that are
    named begin with. The first update that the
    stream does not take raises its OSError, for who watches a run may have to do
    something about it; `close` never does.
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
        self._short: Set[Tuple[str, str]] = set()  # of which it was said what lacks
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
        """Whether an update is of use now: always, for none may be missed."""
        return True

    def update(self, views: Sequence[RunView]) -> None:
        """Tell what changed since the last picture of these runs."""
        for view in views:  # met before the first line: of several, each is named
            self._run_status.setdefault(view.id, "")
        self._write([line for v in views for line in self._account(v, v.tasks)])

    def changed(self, run: RunView, tasks: Sequence[TaskView]) -> None:
        """Tell what changed, when the caller knows which tasks did.

        The cost is that of `tasks` alone, however many the run has; `run.tasks`
        is not looked at.
        """
        self._write(self._account(run, tasks))

    def close(self, final_views: Sequence[RunView]) -> None:
        """Tell what is left to tell, then how each run ended."""
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
        elif status != run.status != "finished":  # `close` tells the end
            change.append(lines.run_changed(run))
        fresh = [task for task in tasks if self._is_news(run.id, task)]
        if run.status != "rolling_back":
            return account + change + self._lines(run, fresh)
        # What failed comes before it, what is undone after it.
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
    """Prints how each run ended, and nothing before."""

    def update(self, views: Sequence[RunView]) -> None:
        """Say nothing of what continues."""

    def changed(self, run: RunView, tasks: Sequence[TaskView]) -> None:
        """Say nothing of what changed."""
