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

LABEL = "schedule"  # the label of runs that names their schedule
CATCH_UP = ("none", "latest", "all")
OVERLAP = ("skip", "queue", "allow")
MOST = 100  # times of one schedule that wait or are caught up
# A time that is later than this counts as missed.
_ON_TIME_S = 60.0
# A clock set back by less reaches the old time soon; by more, it was wrong before.
# Debian's cron uses the same limit.
_SET_BACK_S = 3 * 3600.0


@light_dataclass
class Schedule:
    """When to run a workflow.

    `made` distinguishes it from an earlier schedule of the same name; `zone` is the
    time zone of `cron`; only times after `since` count. `file` is evaluated with
    `params` each time; its tasks run in `cwd` with `environment`. `labels` are added to
    those of the workflow. `paused_at` is None unless it is paused. Without a file,
    `body` is the workflow as the JSON that was sent.
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
        """Whether both run the same at the same times, whenever they were created."""
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
    """The state of a schedule's times.

    All up to `until` are decided: they have run, were skipped, or are `waiting`. `run`
    is the latest run and `at` its time; `missed` and `skipped` count times without a
    run; `trouble` is why the time `trouble_at` failed, "" if a later one succeeded.
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
    """Return it paused."""
    return replace(schedule, paused_at=at, reason=reason)


def resumed(schedule: Schedule, at: float) -> Schedule:
    """Return it resumed at `at`. Raises RequestRejected if it is not paused."""
    if schedule.paused_at is None:
        message = f"schedule {schedule.name} is not paused"
        raise RequestRejected(message)
    return replace(schedule, paused_at=None, reason="", since=at)


def initial_state(schedule: Schedule) -> ScheduleState:
    """Return the state of a new schedule."""
    return ScheduleState(schedule.made, schedule.since, schedule.since)


def idempotency_key(schedule: Schedule, at: float) -> str:
    """Return the idempotency key of the run of a time: a repetition is the same run."""
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return f"{schedule.name}/{moment:%Y-%m-%dT%H:%M:%SZ}"


def adjust_to_clock(
    schedule: Schedule, past: ScheduleState, now: float
) -> ScheduleState:
    """Adjust the state after a pause, and after the clock was wrong."""
    if past.since != schedule.since:
        until = max(past.until, schedule.since)
        past = replace(past, since=schedule.since, until=until)
    if past.until > now + _SET_BACK_S:
        past = replace(past, until=now, furthest=max(past.furthest, past.until))
    return past


def record_due_times(
    schedule: Schedule, past: ScheduleState, times: Sequence[float], now: float
) -> ScheduleState:
    """Decide about the times that are due since `past.until`, in order.

    Of very many times the last `MOST` and one more are enough.
    """
    if not times:
        return past
    until = times[-1]
    if now >= past.furthest:
        # The clock was wrong since then and was corrected: those times were decided.
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
    """Record that the first waiting time has its run."""
    at, *rest = past.waiting
    done = replace(past, waiting=tuple(rest), run=run, at=at)
    return replace(done, trouble="", trouble_at=None)


def after_skip(past: ScheduleState) -> ScheduleState:
    """Record that the first waiting time was skipped: the previous run is active."""
    return replace(past, waiting=past.waiting[1:], skipped=past.skipped + 1)


def after_failure(past: ScheduleState, trouble: str) -> ScheduleState:
    """Record that the first waiting time could not run, and why."""
    at, *rest = past.waiting
    return replace(past, waiting=tuple(rest), trouble=trouble, trouble_at=at)
