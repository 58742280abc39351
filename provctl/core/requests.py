"""Owns what comes in from outside: a wish is admitted or refused, a report becomes facts.

Requests are what people want, reports are what executors saw. Neither changes
anything: both are turned into events, which the scheduler journals and applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, List, Optional, Tuple, Union

from provctl.core import events as ev
from provctl.core.values import children
from provctl.errors import NotFound, Refused, UsageProblem

if TYPE_CHECKING:
    from provctl.core.state import RunState, State, TaskState

__all__ = [
    "Adopted",
    "Cancel",
    "Ended",
    "Report",
    "Request",
    "Resolve",
    "Unknown",
    "Voided",
    "admit",
    "observe",
]


@dataclass(frozen=True)
class Cancel:
    """End a run: its tasks get TERM and a grace time, with `now` KILL at once."""

    run: str
    reason: str = ""
    now: bool = False


@dataclass(frozen=True)
class Resolve:
    """Decide over a held task: `how` is rerun, accept or fail."""

    run: str
    task: str
    how: str
    reason: str = ""


Request = Union[Cancel, Resolve]


@dataclass(frozen=True)
class Adopted:
    """The try's supervisor is alive and reports to this owner from now on."""

    run: str
    task: str
    attempt: int


@dataclass(frozen=True)
class Voided:
    """The try never began, and never will: its fence is ours."""

    run: str
    task: str
    attempt: int
    reason: str


@dataclass(frozen=True)
class Unknown:
    """Nobody can know how the try ended. `outcome` is lost or interrupted."""

    run: str
    task: str
    attempt: int
    outcome: str
    reason: str


@dataclass(frozen=True)
class Ended:
    """The try ended, with its exit record.

    `cause` is "exit" (by itself), "timeout" or "stop" (it was told to);
    `problem` says what failed besides the exit code ("" for nothing); `stuck` counts
    processes that even KILL did not end.
    """

    run: str
    task: str
    attempt: int
    cause: str
    exit_code: Optional[int]
    signal: Optional[int]
    started_at: float
    finished_at: float
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    survivors: int = 0
    log_dropped_bytes: int = 0
    output: Any = None
    problem: str = ""
    stuck: int = 0


Report = Union[Adopted, Voided, Unknown, Ended]


def admit(state: State, request: Request, now: float) -> List[ev.Event]:
    """Turn a wish into facts. Raises NotFound, Refused or UsageProblem."""
    run = state.runs.get(request.run)
    if run is None:
        message = f"run {request.run} is not in this owner's hands"
        raise NotFound(message)
    if run.outcome is not None:
        message = f"run {request.run} has ended: {run.outcome}"
        raise Refused(message, hint="a finished run can no longer be changed")
    if isinstance(request, Cancel):
        return _admit_cancel(run, request, now)
    return _admit_resolve(run, request, now)


def _admit_cancel(run: RunState, request: Cancel, now: float) -> List[ev.Event]:
    if run.stop_level >= (2 if request.now else 1):
        return []
    reason = request.reason[:_REASON_MAX]
    return [ev.CancelRequested(request.run, now, reason=reason, now=request.now)]


def _admit_resolve(run: RunState, request: Resolve, now: float) -> List[ev.Event]:
    task = run.tasks.get(request.task)
    if task is None:
        message = f"run {request.run} has no task {request.task}"
        raise NotFound(message)
    if task.status != "held":
        message = f"task {request.task} is {task.outcome or task.status}, not held"
        raise Refused(message, hint="only a held task waits for a decision")
    if request.how not in _DECISIONS:
        message = f"a decision is {', '.join(_DECISIONS)}; not {request.how}"
        raise UsageProblem(message)
    reason = request.reason[:_REASON_MAX]
    return [ev.TaskResolved(request.run, now, request.task, request.how, reason)]


_DECISIONS = ("rerun", "accept", "fail")
_REASON_MAX = 1000  # characters; a line of the journal is bounded


def observe(state: State, report: Report, now: float, dice: float) -> List[ev.Event]:
    """Turn what an executor saw into facts; nothing if it is old news.

    `dice` is a random number from 0 up to 1, used for the jitter of a retry.
    """
    run = state.runs.get(report.run)
    task = run.tasks.get(report.task) if run else None
    if run is None or task is None or task.status != "running":
        return []
    if task.attempt != report.attempt:
        return []
    key = (report.run, now, report.task, report.attempt)
    if isinstance(report, Adopted):
        return [ev.AttemptAdopted(*key)]
    if isinstance(report, Voided):
        return [ev.AttemptVoided(*key, report.reason)]
    if isinstance(report, Unknown):
        return [_observe_unknown(run, task, report, now)]
    return [_observe_ended(run, task, report, now, dice)]


def _observe_unknown(
    run: RunState, task: TaskState, report: Unknown, now: float
) -> ev.Event:
    policy = task.task.on_interrupt
    if policy == "hold":
        return ev.TaskHeld(
            report.run, now, report.task, report.attempt, report.outcome, report.reason
        )
    told = run.told_to_end(task)
    again = policy == "rerun" and task.tries < _RERUNS_MAX and not told
    return ev.AttemptFinished(
        report.run,
        now,
        report.task,
        report.attempt,
        report.outcome,
        reason=report.reason,
        retry_at=now if again else None,
    )


# A task that takes its supervisor down with it must not do so for ever.
_RERUNS_MAX = 3


def _observe_ended(
    run: RunState, task: TaskState, report: Ended, now: float, dice: float
) -> ev.AttemptFinished:
    told = run.told_to_end(task)
    outcome, reason = _judge(report, told=told)
    failed = outcome in ("failed", "timed_out")
    again = failed and task.tries < task.task.retry.attempts and not told
    return ev.AttemptFinished(
        report.run,
        now,
        report.task,
        report.attempt,
        outcome,
        exit_code=report.exit_code,
        signal=report.signal,
        reason=reason,
        started_at=report.started_at,
        finished_at=report.finished_at,
        cpu_s=report.cpu_s,
        max_rss_bytes=report.max_rss_bytes,
        survivors=report.survivors,
        log_dropped_bytes=report.log_dropped_bytes,
        stuck=report.stuck,
        output=report.output if outcome == "succeeded" else None,
        retry_at=round(now + _wait(task, dice), 3) if again else None,
    )


def _judge(report: Ended, *, told: bool) -> Tuple[str, str]:
    """Outcome and reason. Told to end and exit 0 is still cancelled."""
    if report.cause == "stop":
        # As when the machine goes down: it was not us, so it is no cancellation.
        return ("cancelled", "") if told else ("failed", "told to end by others")
    if report.cause == "timeout":
        return "timed_out", "it ran longer than its timeout"
    problem = report.problem or _flaw(report.output)
    if problem:
        return "failed", problem
    if report.signal is not None:
        return "failed", f"killed by signal {report.signal}"
    if report.exit_code != 0:
        return "failed", f"exit code {report.exit_code}"
    return "succeeded", ""


def _flaw(output: Any) -> str:
    """What keeps an output out of the journal; empty for nothing."""
    work = [(output, 1)]
    while work:
        value, depth = work.pop()
        if depth > _DEPTH_MAX:
            return f"what it returned is nested more than {_DEPTH_MAX} deep"
        if isinstance(value, float) and not isfinite(value):
            return "what it returned has a number that JSON cannot hold"
        work.extend((part, depth + 1) for _, part in children(value))
    return ""


_DEPTH_MAX = 100  # far below where parsers give up


def _wait(task: TaskState, dice: float) -> float:
    """Seconds until the next try: exponential, capped, then jittered upwards."""
    retry = task.task.retry
    wait: float = retry.delay_s
    for _ in range(task.tries - 1):
        wait *= retry.factor
        if retry.max_delay_s is not None and wait >= retry.max_delay_s:
            break
    if retry.max_delay_s is not None:
        wait = min(wait, retry.max_delay_s)
    return wait * (1 + retry.jitter * dice)
