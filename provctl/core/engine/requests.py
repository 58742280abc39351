"""Requests and reports, and the function that accepts or refuses requests.

Requests come from users, reports from executors (`core.engine.observe` turns them into
events). Neither changes anything: both become events, which the scheduler journals and
applies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Union

from provctl.base.light_dataclass import light_dataclass
from provctl.base.suggest import did_you_mean
from provctl.core.engine import events as ev
from provctl.core.engine.finalizers import to_reopen
from provctl.core.engine.reopen import (
    RULE,
    ran_on_failure,
    stale_by,
    targets,
    to_retry,
    to_undo,
    why_stale,
)
from provctl.core.engine.transitions import transition_error
from provctl.core.model.workflow import SubWorkflow
from provctl.errors import NotFound, RequestRejected, UsageError

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State
    from provctl.core.model.attempt_result import AttemptResult
    from provctl.core.model.status import ExitCause, TaskOutcome


@light_dataclass
class Cancel:
    """Cancel a run: its tasks get TERM and a grace time, with `now` KILL at once."""

    run: str
    reason: str = ""
    now: bool = False


@light_dataclass
class ResolveTask:
    """Resolve a held task: `how` is rerun, accept or fail."""

    run: str
    task: str
    how: str
    reason: str = ""


@light_dataclass
class Pause:
    """Start no further task of a run; with `freeze` suspend running ones (SIGSTOP)."""

    run: str
    freeze: bool = False
    reason: str = ""


@light_dataclass
class Resume:
    """Resume a paused run."""

    run: str
    reason: str = ""


@light_dataclass
class RetryRun:
    """Retry the named or all unsuccessful tasks, and what depends on them.

    `downstream` includes all dependents. A task that waits for its next attempt starts
    now.
    """

    run: str
    tasks: Tuple[str, ...] = ()
    downstream: bool = False
    reason: str = ""


@light_dataclass
class Rollback:
    """Undo what a finished run made; with `to` only what came after that task."""

    run: str
    to: str = ""
    reason: str = ""


@light_dataclass
class ReportProgress:
    """A running task reports its progress: percent (0 to 100, or None), and a text."""

    run: str
    task: str
    percent: Optional[float] = None
    message: str = ""


Request = Union[Cancel, ResolveTask, Pause, Resume, RetryRun, Rollback, ReportProgress]

# The events of each accepted request.
FACTS: Dict[type, type] = {
    Cancel: ev.CancelRequested,
    ResolveTask: ev.TaskResolved,
    Pause: ev.RunPaused,
    Resume: ev.RunResumed,
    RetryRun: ev.RetryRequested,
    Rollback: ev.RollbackRequested,
    ReportProgress: ev.ProgressReported,
}

# Events that reopen a finished run.
REOPENING = (RetryRun, Rollback)


@light_dataclass
class AdoptedReport:
    """The supervisor of the attempt is alive and reports to this owner from now on."""

    run: str
    task: str
    attempt: int


@light_dataclass
class NeverStartedReport:
    """The attempt never started and never will: it is fenced off, or has no process.

    With `shortage`, because a resource of this machine was exhausted (see `reason`).
    """

    run: str
    task: str
    attempt: int
    reason: str
    shortage: bool = False


@light_dataclass
class UnknownReport:
    """The result of the attempt is unknown. `outcome` is lost or interrupted."""

    run: str
    task: str
    attempt: int
    outcome: TaskOutcome
    reason: str


@light_dataclass
class ExitedReport:
    """The attempt finished, with its exit record.

    `cause` is "exit" (by itself), "timeout" or "stop" (it was stopped); `problem` says
    what failed besides the exit code ("" for nothing).
    """

    run: str
    task: str
    attempt: int
    cause: ExitCause
    result: AttemptResult
    output: Any = None
    problem: str = ""


Report = Union[AdoptedReport, NeverStartedReport, UnknownReport, ExitedReport]


def admit(state: State, request: Request, now: float) -> List[ev.Event]:
    """Turn a request into events. Raises NotFound, RequestRejected or UsageError."""
    run = state.runs.get(request.run)
    if run is None:
        message = f"this process does not own run {request.run}"
        raise NotFound(message)
    if run.outcome is not None and not isinstance(request, REOPENING):
        message = f"run {request.run} has already finished ({run.outcome})"
        raise RequestRejected(
            message, hint="a finished run can only be retried or rolled back"
        )
    return _ADMIT[type(request)](run, request, now)


def _admit_cancel(run: RunState, request: Cancel, now: float) -> List[ev.Event]:
    level = 2 if request.now else 1
    if run.stop_level >= level and not _stops_finalizers(run, level):
        return []
    reason = request.reason[:_REASON_MAX]
    return [ev.CancelRequested(request.run, now, reason=reason, now=request.now)]


def _stops_finalizers(run: RunState, level: int) -> bool:
    """Whether one more cancel request ends finalizers, or more urgently than before."""
    if run.finalizer_stop_level >= level:
        return False
    names = (name for level in run.finalizers.values() for name in level)
    return any(run.tasks[name].status != "finished" for name in names)


def _admit_resolve(run: RunState, request: ResolveTask, now: float) -> List[ev.Event]:
    task = run.tasks.get(request.task)
    if task is None:
        raise no_task(run, request.task)
    if task.status != "held":
        message = f"task {request.task} is {task.outcome or task.status}, not held"
        raise RequestRejected(message, hint="only a held task can be resolved")
    if request.how not in _DECISIONS:
        message = f"unknown decision {request.how}: use one of {', '.join(_DECISIONS)}"
        raise UsageError(message)
    reason = request.reason[:_REASON_MAX]
    return [ev.TaskResolved(request.run, now, request.task, request.how, reason)]


def _admit_pause(run: RunState, request: Pause, now: float) -> List[ev.Event]:
    if run.stop_level:
        message = f"run {request.run} is being cancelled"
        raise RequestRejected(
            message, hint="a run that is being cancelled cannot be paused"
        )
    event = ev.RunPaused(request.run, now, request.freeze, request.reason[:_REASON_MAX])
    return [] if transition_error(run, event) else [event]


def _admit_resume(run: RunState, request: Resume, now: float) -> List[ev.Event]:
    if not run.paused:
        message = f"run {request.run} is {run.status}, not paused"
        raise RequestRejected(message, hint="only a paused run can be resumed")
    return [ev.RunResumed(request.run, now, request.reason[:_REASON_MAX])]


def _admit_retry(run: RunState, request: RetryRun, now: float) -> List[ev.Event]:
    names, after = list(request.tasks), request.downstream
    if run.rolling_back and not names:
        # Only its waiting undos: nothing else can run again meanwhile.
        names = [t for t in run.active if run.tasks[t].status == "retrying"]
    reason = request.reason[:_REASON_MAX]
    event = ev.RetryRequested(request.run, now, names, after, reason, RULE)
    _refuse_reopening(run, names, event)
    asked = targets(run, names, downstream_too=after)
    if not asked:
        message = f"run {request.run} has nothing to retry: no task failed"
        hint = "to retry other tasks, name them: --only TASK or --from TASK"
        raise RequestRejected(message, hint=hint)
    others = stale_by(run, asked)
    opened = map(run.tasks.__getitem__, to_retry(run, names, downstream_too=after))
    finalizers = to_reopen(run, (t for t in opened if t.status == "finished"))
    for task_id in (*asked, *others, *finalizers):
        status = run.tasks[task_id].status
        if status in ("running", "held"):
            message = f"cannot retry while task {task_id} is {status}"
            raise RequestRejected(
                message, hint="wait until it finishes, or cancel the run"
            )
    if names:
        _refuse_part(run, request, others)
    return [event]


def _refuse_part(run: RunState, request: RetryRun, others: Dict[str, str]) -> None:
    """Refuse a retry of tasks that would leave others stale."""
    verb = f"provctl retry {request.run}"
    opened = to_retry(run, request.tasks, downstream_too=request.downstream)
    why_not = why_stale(run)
    for task_id in opened:
        for need in run.tasks[task_id].task.needs:
            if need.task in why_not and need.task not in opened:
                why = why_not[need.task]
                message = f"task {task_id} needs {need.task}, but {need.task} {why}"
                raise RequestRejected(
                    message, hint=f"retry all tasks that must run again: {verb}"
                )
    for task_id, first in others.items():
        if not ran_on_failure(run, task_id):
            message = f"task {first} cannot be retried alone: {task_id} depends on it"
            raise RequestRejected(message, hint=f"retry both: {verb} --from {first}")


def _admit_rollback(run: RunState, request: Rollback, now: float) -> List[ev.Event]:
    reason = request.reason[:_REASON_MAX]
    event = ev.RollbackRequested(request.run, now, "request", request.to, reason)
    _refuse_reopening(run, [request.to] if request.to else [], event)
    if not to_undo(run, request.to):
        message = f"run {request.run} has nothing to undo"
        hint = "only tasks that started and have an `undo` can be undone, each once"
        raise RequestRejected(message, hint=hint)
    return [event]


def _admit_progress(
    run: RunState, request: ReportProgress, now: float
) -> List[ev.Event]:
    task = run.tasks.get(request.task)
    if task is None:
        raise no_task(run, request.task)
    percent = request.percent
    if percent is not None and not 0 <= percent <= 100:
        message = f"percent must be from 0 to 100, not {percent}"
        raise UsageError(message)
    message = request.message[:_MESSAGE_MAX]
    key = (request.run, now, request.task, task.attempt)
    event = ev.ProgressReported(*key, percent, message)
    story = (
        "it is a nested workflow" if isinstance(task.task.action, SubWorkflow) else ""
    )
    story = story or transition_error(run, event)
    if story:
        message = f"cannot report progress of task {request.task}: {story}"
        raise RequestRejected(message, hint="only a running task can report progress")
    return [event]


def _refuse_reopening(run: RunState, names: List[str], event: ev.Event) -> None:
    for name in names:
        if name not in run.tasks:
            raise no_task(run, name)
    story = transition_error(run, event)
    if story:
        message = f"run {event.run} is {run.status}: {story}"
        raise RequestRejected(
            message, hint="wait until that is finished, or cancel the run"
        )


def no_task(run: RunState, name: str) -> NotFound:
    """Return the error for an unknown task of a run."""
    run_id = run.submitted.run
    message = f"run {run_id} has no task {name}"
    see = f"see: provctl status {run_id}"
    return NotFound(message, hint=did_you_mean(name, run.tasks, see))


_Admit = Callable[["RunState", Any, float], List[ev.Event]]
_ADMIT: Dict[type, _Admit] = {
    Cancel: _admit_cancel,
    ResolveTask: _admit_resolve,
    Pause: _admit_pause,
    Resume: _admit_resume,
    RetryRun: _admit_retry,
    Rollback: _admit_rollback,
    ReportProgress: _admit_progress,
}
_DECISIONS = ("rerun", "accept", "fail")
_MESSAGE_MAX = 200  # characters
_REASON_MAX = 1000  # characters; a line of the journal is limited
