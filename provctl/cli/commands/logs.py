"""`logs`: what tasks wrote, at once or while they write it."""

from __future__ import annotations

import sys
import time
from collections import deque
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Deque, Dict, Iterator, Optional, Tuple

import click

from provctl.base.stdio import binary_of
from provctl.cli.completion.param_types import RUN_OR_TASK, TASK
from provctl.cli.session import print_message
from provctl.errors import NotFound, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.cli.session import Session
    from provctl.core.engine.state import RunState
    from provctl.executors.protocol import LogReader
    from provctl.render.ci_dialects import CiLogFormat
    from provctl.runs.follow import Follower


_LOOK_S = 0.1


@click.command()
@click.argument("run", metavar="RUN[/TASK]", type=RUN_OR_TASK)
@click.argument("task", required=False, type=TASK)
@click.option(
    "-f", "--follow", is_flag=True, help="Follow the log until the run finishes."
)
@click.option(
    "-n",
    "--last",
    "most",
    metavar="N",
    type=click.IntRange(0),
    help="Start with the last N lines of each task.",
)
@click.option(
    "--attempt",
    type=click.IntRange(1),
    help="Show this attempt instead of the last one.",
)
@click.option(
    "--raw", is_flag=True, help="Print the bytes exactly as the task wrote them."
)
@click.pass_obj
def logs(
    session: Session,
    run: str,
    task: Optional[str],
    follow: bool,
    most: Optional[int],
    attempt: Optional[int],
    raw: bool,
) -> None:
    """Print the log of TASK, or the logs of all tasks with the names of the tasks."""
    from provctl.render.ci_dialects import detect_ci_log_format
    from provctl.runs.find import find_run
    from provctl.runs.follow import Follower

    run, *named = run.split("/", 1)
    if named and task is not None:
        message = f"two tasks are given: {named[0]} and {task}"
        raise UsageError(
            message, hint="give only one; without a task the logs of all are printed"
        )
    task = named[0] if named else task
    follower = Follower(session.folder.run(find_run(session.folder, run)))
    follower.read_state()
    if task is not None:
        _tell_of_nothing(follower.run, task)
    dialect = detect_ci_log_format(session.environ)
    if attempt and not follow:
        _refuse_attempt(follower.run, task, attempt)
    reader = _Reader(follower, task, attempt, most=most, raw=raw, dialect=dialect)
    while True:
        # Looked at before the logs: what is written until the end is all read.
        over = follower.run.outcome is not None or not follower.was_owned
        reader.copy(last=over or not follow)
        if over or not follow:
            return
        try:
            time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            return
        follower.read_state()


def _tell_of_nothing(run: RunState, task_id: str) -> None:
    """Say so where a task has no log yet, or never will; refuse one that is not there."""
    from provctl.core.engine.requests import no_task
    from provctl.core.model.status import outcome_phrase

    task = run.tasks.get(task_id)
    if task is None:
        raise no_task(run, task_id)
    if task.attempt:
        return
    if task.outcome is None:
        message = f"{task_id} has not started: it is {task.status}"
    else:
        why = f": {task.reason}" if task.reason else ""
        message = f"{task_id} never started: it {outcome_phrase(task.outcome)}{why}"
    print_message(f"note: {message}")


def _refuse_attempt(run: RunState, task_id: Optional[str], attempt: int) -> None:
    """Refuse an attempt that no task of those that are shown has had."""
    tasks = [run.tasks[task_id]] if task_id else list(run.tasks.values())
    most = max((task.attempt for task in tasks), default=0)
    if attempt > most:
        who = task_id or "a task of the run"
        message = f"attempt {attempt} not found: {who} had at most {most}"
        raise NotFound(message)


class _Reader:
    """Copies logs to stdout, each from where it was."""

    def __init__(
        self,
        follower: Follower,
        task: Optional[str],
        attempt: Optional[int],
        *,
        most: Optional[int],
        raw: bool,
        dialect: CiLogFormat,
    ) -> None:
        self._follower = follower
        self._task = task
        self._attempt = attempt
        self._most = most  # lines of what is there at the first look
        self._raw = raw
        self._dialect = dialect
        self._readers: Dict[Path, LogReader] = {}
        self._out: BinaryIO = binary_of(sys.stdout)

    def copy(self, *, last: bool) -> None:
        """Print whole new lines; with `last` also what has no newline yet."""
        from provctl.runs.attempt_store import attempt_store

        for name, path in self._files():
            if path not in self._readers:
                self._readers[path] = attempt_store().open_log(path)
            pieces = self._readers[path].pieces(last=last)
            if self._most is not None:
                pieces = iter([_end_of(pieces, self._most)])
            for piece in pieces:
                self._print(name, piece)
        self._most = None
        self._out.flush()

    def _print(self, name: str, piece: bytes) -> None:
        from provctl.nushell.source_file import with_origins
        from provctl.render.text import sanitize

        if self._raw and self._task:
            self._out.write(piece)
            return
        piece = with_origins(piece)
        prefix = b"" if self._task else f"{name} | ".encode()
        lines = piece.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            text = line
            if not self._raw:
                shown = sanitize(line.decode("utf-8", "replace"), limit=len(line) + 1)
                text = self._dialect.harmless(shown).encode()
            self._out.write(prefix + text + b"\n")

    def _files(self) -> Iterator[Tuple[str, Path]]:
        run, folder = self._follower.run, self._follower.folder
        names = [self._task] if self._task else list(run.tasks)
        for name in names:
            task = run.tasks[name]
            attempt = self._attempt or task.attempt
            if attempt:
                yield name, folder.log_of(task.task.index, attempt)


def _end_of(pieces: Iterator[bytes], most: int) -> bytes:
    """The last lines of what was written, at most so many."""
    lines: Deque[bytes] = deque(maxlen=most)
    for piece in pieces:
        lines.extend(BytesIO(piece))
    return b"".join(lines)
