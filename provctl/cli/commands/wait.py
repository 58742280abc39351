"""`wait`: until runs or tasks have ended, or are where they were waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import click

from provctl.base.light_dataclass import light_dataclass
from provctl.cli.completion.param_types import RUN
from provctl.cli.exit_codes import ENDS, HELD, INTERRUPTED, TIMEOUT, exit_code_of
from provctl.cli.options.global_options import report_options
from provctl.cli.options.run_filters import chosen_runs, label_filter_option
from provctl.cli.options.timeout import timeout_option
from provctl.cli.session import print_message
from provctl.cli.status_words import (
    RUN_OUTCOMES,
    RUN_STATUSES,
    TASK_OUTCOMES,
    TASK_STATUSES,
    check_word,
)
from provctl.cli.watching.notify import notify_end, notify_option
from provctl.cli.watching.watch_runs import (
    LOOK_S,
    interrupted_hint,
    report_if_asked,
    report_orphans,
    watch_runs,
)

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.labels import Condition
    from provctl.runs.follow import Follower


_NEVER = 41  # of what can no longer happen though nothing failed: the wrong status
_UNDONE = ("undone", "undo_failed")


@light_dataclass
class _Subject:
    """A run, or with `task` a task of it."""

    follower: Follower
    task: str = ""

    @property
    def name(self) -> str:
        return self.follower.folder.id + (f"/{self.task}" if self.task else "")


@click.command()
@click.argument("names", metavar="RUN[/TASK]...", nargs=-1, type=RUN)
@label_filter_option
@click.option(
    "--for",
    "wanted",
    metavar="WORD",
    help="Status or outcome to wait for (default: finished).",
)
@click.option(
    "--any", "one", is_flag=True, help="Wait for any one of them instead of all."
)
@timeout_option
@report_options
@notify_option
@click.pass_context
def wait(
    ctx: click.Context,
    names: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    wanted: Optional[str],
    one: bool,
    timeout: Optional[float],
    notify: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Wait for runs, a batch or tasks to finish and exit with their exit code.

    With --for, wait until they have the status or outcome WORD, and exit with 0. For a
    run, WORD is queued, running (it has started), paused, cancelling, held (on hold),
    rolling_back or finished, or an outcome: succeeded, failed, cancelled, timed_out,
    lost, rolled_back or rollback_failed. For a task, WORD is waiting, ready, running
    (it has started), retrying, held or finished, or an outcome: succeeded, failed,
    cancelled, timed_out, lost, interrupted, skipped, undone or undo_failed.

    If that can no longer happen, wait exits at once: with the exit code of the outcome,
    or with 41 if the run or task succeeded or was skipped. If a run is on hold, wait
    exits with 13.
    """
    session: Session = ctx.obj
    began = time.monotonic()
    if wanted is None and not one and not any("/" in name for name in names):
        ids = tuple(run.id for run in chosen_runs(session, names, conditions))
        code = watch_runs(session, ids, timeout, None)
    else:
        subjects = _subjects(session, names, conditions)
        word = _check_subjects(wanted or "finished", subjects)
        ids = tuple(dict.fromkeys(each.follower.folder.id for each in subjects))
        code = _Wait(session, subjects, word, one=one).until_over(timeout)
    notify_end(session, ids, code, began, how=notify)
    report_if_asked(session, ids, code, junit=junit, summary=summary)
    ctx.exit(code)


def _subjects(
    session: Session, names: Sequence[str], conditions: Tuple[Condition, ...]
) -> List[_Subject]:
    """What is waited for. Raises NotFound, also for a task that is not there."""
    from provctl.core.engine.requests import no_task
    from provctl.runs.follow import Follower

    found: Dict[Tuple[str, str], _Subject] = {}
    for name in names or [""]:
        run_name, _, task = name.partition("/")
        for run in chosen_runs(session, [run_name] if name else [], conditions):
            subject = _Subject(Follower(session.folder.run(run.id)), task)
            subject.follower.read()
            if task and task not in subject.follower.run.tasks:
                raise no_task(subject.follower.run, task)
            found.setdefault((run.id, task), subject)
    return list(found.values())


def _check_subjects(word: str, subjects: Sequence[_Subject]) -> str:
    for subject in subjects:
        known = (RUN_STATUSES, RUN_OUTCOMES)
        if subject.task:
            known = (TASK_STATUSES, TASK_OUTCOMES)
        check_word(word, [each for words in known for each in words], "--for")
    return word.lower().replace("-", "_")


class _Wait:
    """Looks at what is waited for, until it is over."""

    def __init__(
        self, session: Session, subjects: Sequence[_Subject], word: str, *, one: bool
    ) -> None:
        from provctl.cli.watching.heartbeat import HeartbeatTicker
        from provctl.runs.queue_watch import QueueWatcher

        self._queue_watcher = QueueWatcher(
            session.folder, session.owner_client, interrupted_hint
        )
        self._silence = HeartbeatTicker(session)
        self._subjects = subjects
        self._word = word
        self._one = one

    def until_over(self, timeout_s: Optional[float]) -> int:
        """Return the exit code. Raises SchedulerUnreachable if nothing moves."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                code = self._look()
                if code is not None:
                    return code
                self._silence.on_tick(self._runs())
                if deadline is not None and time.monotonic() >= deadline:
                    print_message("stopped waiting (timeout); the run continues")
                    return TIMEOUT
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            print_message("stopped watching; the run continues")
            return INTERRUPTED

    def _runs(self) -> List[RunState]:
        """Each of the runs once."""
        runs = [each.follower.run for each in self._subjects]
        return list({run.submitted.run: run for run in runs}.values())

    def _look(self) -> Optional[int]:
        met: List[_Subject] = []
        ended: List[Tuple[_Subject, int]] = []  # what it will never be, and the code
        stuck: List[_Subject] = []
        moves = False
        for subject in self._subjects:
            follower = subject.follower
            # The owner first: one that lets go has written everything before.
            owned = follower.owned
            can_move = owned or self._queue_watcher.is_being_acquired(
                follower.folder.id
            )
            follower.read()
            verdict = _verdict(follower.run, subject.task, self._word, owned=owned)
            if verdict:
                met.append(subject)
            elif verdict is False:
                ended.append((subject, _end_of(subject) or _NEVER))
            elif follower.run.is_on_hold:
                ended.append((subject, HELD))
            else:
                moves = moves or can_move
                stuck.append(subject)
        if len(met) == len(self._subjects) or (self._one and met):
            return _worst_code(map(_end_of, met)) if self._word == "finished" else 0
        if ended and (not self._one or len(ended) == len(self._subjects)):
            return self._tell_never(ended)
        if not moves:
            report_orphans([subject.follower for subject in stuck])
        return None

    def _tell_never(self, ended: Sequence[Tuple[_Subject, int]]) -> int:
        for subject, code in ended:
            now = _current_word(subject)
            why = "it is on hold" if code == HELD else "this is final"
            print_message(f"{subject.name} is {now}, not {self._word}; {why}")
        return _worst_code(code for _, code in ended)


def _worst_code(codes: object) -> int:
    found = list(codes)  # type: ignore[call-overload]
    order = (15, HELD, 14, 10, 12, 11, _NEVER)
    return next((code for code in order if code in found), 0)


def _current_word(subject: _Subject) -> str:
    run = subject.follower.run
    about = run.tasks[subject.task] if subject.task else run
    return str(about.outcome or about.status)


def _end_of(subject: _Subject) -> int:
    """The exit code of how a run or a task ended; of a task that was skipped 0."""
    run = subject.follower.run
    if not subject.task:
        return exit_code_of([run.outcome])
    outcome = run.tasks[subject.task].outcome
    return ENDS.get({"interrupted": "lost"}.get(str(outcome), str(outcome)), 0)


def _verdict(run: RunState, task: str, word: str, *, owned: bool) -> Optional[bool]:
    """Whether it is as the word says; None if it is not and may yet be.

    A run that ended can be opened again as long as it has an owner.
    """
    over = run.outcome is not None and not owned
    if task:
        return _verdict_of_task(run.tasks[task], word, over=over)
    if word == "finished" or word in RUN_OUTCOMES:
        return (word in ("finished", run.outcome)) if over else None
    is_so = run.started_at is not None if word == "running" else run.status == word
    return True if is_so else False if over else None


def _verdict_of_task(task: TaskState, word: str, *, over: bool) -> Optional[bool]:
    is_so = word in (task.status, task.outcome)
    if word == "running":
        is_so = task.started_at is not None
    ended = over if word in _UNDONE else task.status == "finished"
    return True if is_so else False if ended or over else None
