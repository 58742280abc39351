"""The attempts of a run: times, resource usage and outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import NO_RESULT, AttemptResult

if TYPE_CHECKING:
    from provctl.core.engine.events import Event


@light_dataclass
class Attempt:
    """One attempt of a task. Times are seconds since the epoch.

    `outcome` is None while it runs, and "voided" if it never started. `retried`:
    another attempt followed.
    """

    task: str
    attempt: int
    purpose: str
    started_at: float
    finished_at: Optional[float] = None
    outcome: Optional[str] = None
    result: AttemptResult = NO_RESULT
    reason: str = ""
    retried: bool = False


def attempts_of(events: Sequence[Event]) -> List[Attempt]:
    """Return the attempts of a run, ordered by start."""
    found: Dict[Tuple[str, int], Attempt] = {}
    for event in events:
        if isinstance(event, ev.AttemptStarted):
            key = (event.task, event.attempt)
            found[key] = Attempt(*key, event.purpose, event.at)
        elif isinstance(event, ev.AttemptFinished):
            key = (event.task, event.attempt)
            found[key] = _with_end(found[key], event)
        elif isinstance(event, ev.AttemptDiscarded):
            key = (event.task, event.attempt)
            found[key] = replace(
                found[key], finished_at=event.at, outcome="voided", reason=event.reason
            )
        elif isinstance(event, (ev.TaskHeld, ev.ProbeDue)):
            key = (event.task, event.attempt)
            found[key] = replace(
                found[key],
                finished_at=event.at,
                outcome=event.outcome,
                reason=event.reason,
            )
    return list(found.values())


def _with_end(one: Attempt, event: ev.AttemptFinished) -> Attempt:
    result = event.result
    started_at = one.started_at if result.started_at is None else result.started_at
    finished_at = event.at if result.finished_at is None else result.finished_at
    return replace(
        one,
        started_at=started_at,
        finished_at=finished_at,
        outcome=event.outcome,
        result=result,
        reason=event.reason,
        retried=event.retry_at is not None,
    )
