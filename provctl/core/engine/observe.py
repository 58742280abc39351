"""Turns reports of executors into events: judges attempts and decides about retries.

An unknown result is never a success: the probe of the task decides if there is one,
otherwise its policy.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine import events as ev
from provctl.core.engine.requests import (
    AdoptedReport,
    ExitedReport,
    NeverStartedReport,
    Report,
    UnknownReport,
)
from provctl.core.model.expressions import children
from provctl.core.model.workflow import Command

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State, TaskState
    from provctl.core.model.status import MaybeOutcome, TaskOutcome


def observe(state: State, report: Report, now: float, dice: float) -> List[ev.Event]:
    """Turn the report of an executor into events; none if it is outdated.

    `dice` is a random number from 0 up to 1, used for the jitter of a retry.
    """
    run = state.runs.get(report.run)
    task = run.tasks.get(report.task) if run else None
    if run is None or task is None or task.status != "running":
        return []
    if task.attempt != report.attempt:
        return []
    key = (report.run, now, report.task, report.attempt)
    if isinstance(report, AdoptedReport):
        return [ev.AttemptAdopted(*key)]
    if isinstance(report, NeverStartedReport):
        return [ev.AttemptDiscarded(*key, report.reason, report.shortage)]
    case = _Observation(run, task, report.attempt, now, dice)
    if isinstance(report, UnknownReport):
        return [_unknown(case, report)]
    if task.purpose == "probe":
        return [_probe_event(case, report)]
    return [_exit_event(case, report)]


@light_dataclass
class _Observation:
    """A finished attempt, and the time of the observation."""

    run: RunState
    task: TaskState
    attempt: int
    now: float
    dice: float

    @property
    def is_stopping(self) -> bool:
        return self.run.is_stopping(self.task)

    @property
    def attempts(self) -> int:
        """The number of attempts of the task itself, or of its undo."""
        return self.task.counted_attempts - (self.task.purpose == "probe")

    @property
    def key(self) -> Tuple[str, float, str, int]:
        return (self.run.submitted.run, self.now, self.task.task.id, self.attempt)

    def retry_at(self) -> float:
        """The time of the next attempt: exponential backoff with a cap, then jitter."""
        retry = (
            self.task.task.retry if self.task.purpose == "probe" else self.task.retry
        )
        wait: float = retry.delay_s
        for _ in range(self.attempts - 1):
            wait *= retry.factor
            if retry.max_delay_s is not None and wait >= retry.max_delay_s:
                break
        if retry.max_delay_s is not None:
            wait = min(wait, retry.max_delay_s)
        return round(self.now + wait * (1 + retry.jitter * self.dice), 3)


# -- unknown results ----------------------------------------------------------------


def _unknown(case: _Observation, report: UnknownReport) -> ev.Event:
    task = case.task
    if task.purpose == "probe":
        return _by_policy(case, f"{task.reason}; probe: {report.reason}")
    if task.purpose == "run" and task.task.probe is not None and not case.is_stopping:
        return ev.ProbeDue(*case.key, report.outcome, report.reason)
    return _by_policy(case, report.reason, report.outcome)


def _probe_event(case: _Observation, report: ExitedReport) -> ev.Event:
    """The result of a probe: the task is done, or it is not known to be done."""
    task = case.task
    outcome, why = _judge(report, stopping=case.is_stopping)
    if outcome != "succeeded":
        return _by_policy(case, f"{task.reason}; probe: {why or outcome}")
    says_yes = report.output not in (None, False)
    if not says_yes and not isinstance(task.task.probe, Command):
        return _by_policy(case, f"{task.reason}; its probe reports that it is not done")
    reason = f"{task.reason}; its probe reports that it is done"
    output = None if report.output is True else report.output
    return replace(_attempt_finished(case, report, "succeeded", reason), output=output)


def _by_policy(case: _Observation, reason: str, outcome: MaybeOutcome = "") -> ev.Event:
    """Hold the task, retry it, or mark it as failed."""
    task, attempts = case.task, case.attempts
    final = outcome or task.unconfirmed
    assert final, "it is lost or interrupted"
    undo = task.task.undo if task.purpose == "undo" else None
    if undo is not None:
        policy = "rerun" if undo.idempotent else "hold"
        retry = undo.retry
    else:
        policy, retry = task.task.on_interrupt, task.task.retry
    retry_at: Optional[float] = None
    if "lost" in retry.on and attempts < retry.attempts:
        retry_at = case.retry_at()
    elif policy == "hold":
        return ev.TaskHeld(*case.key, final, reason)
    elif policy == "rerun" and attempts < _RERUNS_MAX:
        retry_at = case.now
    if case.is_stopping:
        retry_at = None
    if retry_at is None and undo is not None:
        final = "undo_failed"
    return ev.AttemptFinished(*case.key, final, reason=reason, retry_at=retry_at)


# A task that always kills its supervisor must not run forever.
_RERUNS_MAX = 3


# -- finished attempts --------------------------------------------------------------


def _exit_event(case: _Observation, report: ExitedReport) -> ev.Event:
    outcome, reason = _judge(report, stopping=case.is_stopping)
    is_retried = (
        outcome in ("failed", "timed_out")
        and case.attempts < case.task.retry.attempts
        and not case.is_stopping
        and _is_worth_it(case.task.retry.on, report)
    )
    if case.task.purpose == "undo":
        reason = reason or ("its undo was cancelled" if outcome == "cancelled" else "")
        outcome = "undone" if outcome == "succeeded" else "undo_failed"
    event = _attempt_finished(case, report, outcome, reason)
    return replace(event, retry_at=case.retry_at()) if is_retried else event


def _attempt_finished(
    case: _Observation, report: ExitedReport, outcome: TaskOutcome, reason: str
) -> ev.AttemptFinished:
    result = report.result
    return ev.AttemptFinished(
        *case.key,
        outcome,
        # All processes of a stopped attempt are killed, so survivors are not
        # reported.
        result if report.cause == "exit" else replace(result, survivors=0),
        reason,
        report.output if outcome == "succeeded" or _refusal(report) else None,
    )


def _is_worth_it(on: Tuple[str, ...], report: ExitedReport) -> bool:
    """Whether the `on` of a retry policy includes this failure; an empty one does."""
    if not on:
        return True
    if report.cause == "timeout":
        return "timeout" in on
    result = report.result
    if result.signal is not None:
        return "signal" in on or f"signal {result.signal}" in on
    return "exit" in on or str(result.exit_code) in on


def _judge(report: ExitedReport, *, stopping: bool) -> Tuple[TaskOutcome, str]:
    """Outcome and reason. A stopped attempt with exit code 0 is still cancelled."""
    if report.cause == "stop":
        # For example at a shutdown: we did not stop it, so it is not cancelled.
        return (
            ("cancelled", "") if stopping else ("failed", "stopped by another process")
        )
    if report.cause == "timeout":
        return "timed_out", "it exceeded its timeout"
    problem = report.problem or _flaw(report.output)
    if problem:
        return "failed", problem
    result = report.result
    if result.signal is not None:
        return "failed", f"killed by signal {result.signal}"
    if result.exit_code != 0:
        return "failed", _refusal(report) or f"exit code {result.exit_code}"
    return "succeeded", ""


def _refusal(report: ExitedReport) -> str:
    """The error of a call that returned `success: false`; else empty."""
    output = report.output
    if report.result.exit_code != 1 or not isinstance(output, dict):
        return ""
    if output.get("success") is not False:
        return ""
    why = output.get("error") or output.get("message") or "it returned success: false"
    text = why if isinstance(why, str) else json.dumps(why)
    seen = "".join(sign if sign.isprintable() else " " for sign in text)
    words = " ".join(seen.split()) or "it returned success: false"
    return words if len(words) <= _REASON_MAX else f"{words[:_REASON_MAX]}..."


_REASON_MAX = 300  # characters; the output has the whole text


def _flaw(output: Any) -> str:
    """Why an output cannot be stored in the journal; empty if it can."""
    work = [(output, 1)]
    while work:
        value, depth = work.pop()
        if depth > _DEPTH_MAX:
            return f"its output is nested more than {_DEPTH_MAX} levels deep"
        if isinstance(value, float) and not isfinite(value):
            return "its output contains a number that JSON cannot represent"
        work.extend((part, depth + 1) for _, part in children(value))
    return ""


_DEPTH_MAX = 100  # far below the limit of parsers
