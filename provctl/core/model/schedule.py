"""Schedules: which workflow runs when, and which of its times are pending.

    times come ----arrive----> waiting --(one by one, as `overlap` says)--> runs
              `catch_up` says which of those
              that came while nobody looked

Times are seconds since the epoch, of the wall clock: that is what an expression is
about.
"""

from __future__ import annotations

from dataclasses import field, replace
from datetime import datetime, timezone
from typing import Dict, Mapping, Optional, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.errors import RequestRejected

LABEL = "schedule"  # of runs: the name of what they are runs of
CATCH_UP = ("none", "latest", "all")
OVERLAP = ("skip", "queue", "allow")
MOST = 100  # times of one schedule that wait or are made up for
# A time that is later than this is one that was missed.
_ON_TIME_S = 60.0
# Set back by less, a clock comes to where it was soon enough; by more, it was wrong
# before. It is what Debian's cron does.
_SET_BACK_S = 3 * 3600.0


@light_dataclass
class Schedule:
    """What is to run when.

    `made` tells it from an earlier one of the same name; `zone` is what `cron` is
    meant in; times up to `since` are not its own. `file` is evaluated with `params`
    each time anew; its tasks run in `cwd` with `environment`. `labels` are of its
    runs, beside those of the workflow. `paused_at` is None unless it is paused.
    Where there is no file, `body` is the workflow, as JSON that was sent.
    """

    name: str
    made: str
    file: str
    cron: str
    zone: str
    since: float
    params: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    max_parallel: Optional[int] = None
    fail_fast: bool = False
    catch_up: str = "latest"
    overlap: str = "skip"
    cwd: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    paused_at: Optional[float] = None
    reason: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def labels_of_runs(self) -> Dict[str, str]:
        """Its labels, and the one that names it."""
        return {**self.labels, LABEL: self.name}

    def asks_as(self, other: Schedule) -> bool:
        """Whether both want the same at the same times, whenever they were made."""
        return other == replace(
            self,
            made=other.made,
            since=other.since,
            cwd=other.cwd,
            environment=other.environment,
            paused_at=other.paused_at,
            reason=other.reason,
        )


@light_dataclass
class ScheduleState:
    """What became of a schedule's times.

    All up to `until` are decided: they ran, did not, or are `waiting`. `run` is the
    latest run and `at` its time; `missed` and `skipped` count those that never ran;
    `trouble` is why the one of `trouble_at` could not, "" if a later one could.
    `furthest` is the latest `until` from which the clock was ever set back.
    """

    made: str
    since: float
    until: float
    waiting: Tuple[float, ...] = ()
    run: str = ""
    at: Optional[float] = None
    missed: int = 0
    skipped: int = 0
    trouble: str = ""
    trouble_at: Optional[float] = None
    furthest: float = 0.0


def paused(schedule: Schedule, at: float, reason: str) -> Schedule:
    """Return it so that nothing of it is run."""
    return replace(schedule, paused_at=at, reason=reason)


def resumed(schedule: Schedule, at: float) -> Schedule:
    """Return it resumed at `at`. Raises RequestRejected if it is not paused."""
    if schedule.paused_at is None:
        message = f"schedule {schedule.name} is not paused"
        raise RequestRejected(message)
    return replace(schedule, paused_at=None, reason="", since=at)


def initial_state(schedule: Schedule) -> ScheduleState:
    """Return the past of a schedule that has none."""
    return ScheduleState(schedule.made, schedule.since, schedule.since)


def idempotency_key(schedule: Schedule, at: float) -> str:
    """Return the idempotency key of a time's run: fired again, it is the same run."""
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return f"{schedule.name}/{moment:%Y-%m-%dT%H:%M:%SZ}"


def adjust_to_clock(
    schedule: Schedule, past: ScheduleState, now: float
) -> ScheduleState:
    """Heed a pause that is over, and a clock that was wrong before."""
    if past.since != schedule.since:
        until = max(past.until, schedule.since)
        past = replace(past, since=schedule.since, until=until)
    if past.until > now + _SET_BACK_S:
        past = replace(past, until=now, furthest=max(past.furthest, past.until))
    return past


def record_due_times(
    schedule: Schedule, past: ScheduleState, times: Sequence[float], now: float
) -> ScheduleState:
    """Decide about the times that have come since `past.until`, in order.

    Of very many the last `MOST` and one more are enough.
    """
    if not times:
        return past
    until = times[-1]
    if now >= past.furthest:
        # It was not wrong before but since, and comes back: those were decided.
        times = [at for at in times if at > past.furthest]
    kept = list(times)
    if schedule.catch_up == "none":
        kept = [at for at in times if now - at <= _ON_TIME_S]
    elif schedule.catch_up == "latest" and times and now - times[0] > _ON_TIME_S:
        kept = kept[-1:]
    kept = kept[-MOST:]
    waiting = (*past.waiting, *kept)
    return replace(
        past,
        until=until,
        waiting=waiting[:MOST],
        missed=past.missed + len(times) - len(kept),
        skipped=past.skipped + len(waiting[MOST:]),
    )


def after_fire(past: ScheduleState, run: str) -> ScheduleState:
    """Note that the first of the waiting times has its run."""
    at, *rest = past.waiting
    done = replace(past, waiting=tuple(rest), run=run, at=at)
    return replace(done, trouble="", trouble_at=None)


def after_skip(past: ScheduleState) -> ScheduleState:
    """Note that the first of the waiting times came while the run before went on."""
    return replace(past, waiting=past.waiting[1:], skipped=past.skipped + 1)


def after_failure(past: ScheduleState, trouble: str) -> ScheduleState:
    """Note that nothing could be run at the first of the waiting times, and why."""
    at, *rest = past.waiting
    return replace(past, waiting=tuple(rest), trouble=trouble, trouble_at=at)
