"""Statistics of earlier runs of a workflow: durations, success rates, regressions.

Quantiles are linear between the two nearest values (method 7 of Hyndman and Fan, 1996,
the default of numpy and R).
"""

from __future__ import annotations

from dataclasses import field
from typing import Dict, List, Mapping, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass

_FEW = 5  # with fewer earlier runs nothing counts as slow or regressed
_CHANGED = 1.5  # times the median
_TELLING = 5.0  # percent; below it progress does not predict the end


@light_dataclass
class PastTask:
    """The result of a task in an earlier run; `took_s` is that of its last attempt."""

    outcome: str
    took_s: Optional[float] = None
    attempts: int = 0


@light_dataclass
class PastRun:
    """An earlier run of a workflow. Times are seconds since the epoch."""

    run: str
    outcome: str
    created_at: float
    started_at: Optional[float]
    finished_at: float
    tasks: Mapping[str, PastTask] = field(default_factory=dict)

    @property
    def took_s(self) -> Optional[float]:
        """Seconds from the start of its first task to its end."""
        return None if self.started_at is None else self.finished_at - self.started_at


@light_dataclass
class DurationStats:
    """Statistics of one task or of a workflow. Times in seconds.

    `runs` counts the runs in which it finished by itself, and `attempts` its attempts
    in them. `succeeded` counts the runs in which it succeeded, `flaky` those in which
    it succeeded after a failed attempt. `regressed`: its latest duration is above the
    90th percentile and above 1.5 times the median of the earlier ones.
    """

    runs: int = 0
    succeeded: int = 0
    flaky: int = 0
    p50_s: Optional[float] = None
    p90_s: Optional[float] = None
    last_s: Optional[float] = None
    regressed: bool = False
    attempts: int = 0

    @property
    def success_rate(self) -> Optional[float]:
        """The success rate of its attempts, from 0 to 1; None if there were none."""
        return self.succeeded / self.attempts if self.attempts else None


def quantile(values: Sequence[float], q: float) -> float:
    """Return the q-quantile (0 to 1) of at least one value."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def duration_stats(pasts: Sequence[PastRun]) -> Dict[str, DurationStats]:
    """Return the statistics of each task, and under "" of whole runs; oldest first."""
    found: Dict[str, List[PastTask]] = {}
    for past in pasts:
        whole = PastTask(past.outcome, past.took_s, 1)
        for name, task in (("", whole), *past.tasks.items()):
            found.setdefault(name, []).append(task)
    return {name: _pace(tasks) for name, tasks in found.items()}


def _pace(tasks: Sequence[PastTask]) -> DurationStats:
    ended = [task for task in tasks if task.outcome not in ("skipped", "cancelled")]
    well = [task for task in ended if task.outcome == "succeeded"]
    times = [task.took_s for task in well if task.took_s is not None]
    pace = DurationStats(
        runs=len(ended),
        succeeded=len(well),
        flaky=sum(task.attempts > 1 for task in well),
        attempts=sum(task.attempts for task in ended),
    )
    if not times:
        return pace
    *before, last = times
    return DurationStats(
        pace.runs,
        pace.succeeded,
        pace.flaky,
        p50_s=quantile(times, 0.5),
        p90_s=quantile(times, 0.9),
        last_s=last,
        regressed=len(before) >= _FEW and _is_above(last, before),
        attempts=pace.attempts,
    )


def _is_above(took_s: float, before: Sequence[float]) -> bool:
    usual = _CHANGED * quantile(before, 0.5)
    return took_s > quantile(before, 0.9) and took_s > usual


def is_slow(pace: Optional[DurationStats], running_s: float) -> bool:
    """Whether a running task is slower than usual."""
    if pace is None or pace.p50_s is None or pace.p90_s is None or pace.runs < _FEW:
        return False
    return running_s > pace.p90_s and running_s > _CHANGED * pace.p50_s


def expected_end(
    pace: Optional[DurationStats],
    started_at: float,
    now: float,
    percent: Optional[float] = None,
) -> Optional[float]:
    """Return when a running task is expected to end, in seconds since the epoch.

    Its reported progress counts more the further it is; before that and without it, the
    median of earlier runs counts, then their 90th percentile. None without data, or if
    it already runs longer than ever.
    """
    spent = max(now - started_at, 0.0)
    usual = None
    if pace is not None and pace.p50_s is not None and pace.p90_s is not None:
        usual = next((p for p in (pace.p50_s, pace.p90_s) if p > spent), None)
    by_progress = None
    if percent is not None and percent >= _TELLING:
        by_progress = spent * 100 / percent
    if by_progress is None:
        whole = usual
    elif usual is None:
        whole = by_progress
    else:
        weight = (percent or 0) / 100
        whole = weight * by_progress + (1 - weight) * usual
    return None if whole is None else started_at + whole
