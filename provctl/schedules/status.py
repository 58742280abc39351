"""The status of schedules: next times, and the result of the last run.

Read from disk, without a scheduler.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.base.timefmt import format_iso
from provctl.errors import ProvctlError
from provctl.storage.run_summary import summarise_or_damaged

if TYPE_CHECKING:
    from provctl.core.model.schedule import Schedule, ScheduleState
    from provctl.storage.layout import StateDir
    from provctl.storage.schedules import Schedules


_NEXT = 5  # times


@light_dataclass
class ScheduleStatus:
    """The status of a schedule; or `damage`, the problem with its files.

    `next_at` are the next times in seconds since the epoch, empty if the schedule is
    paused. `outcome` is the outcome of the latest run, or its status if unfinished.
    """

    name: str
    schedule: Optional[Schedule] = None
    past: Optional[ScheduleState] = None
    next_at: Tuple[float, ...] = ()
    outcome: Optional[str] = None
    damage: str = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its runs."""
        return {} if self.schedule is None else self.schedule.labels_of_runs


def schedule_status(
    folder: StateDir, schedules: Schedules, name: str, now: float
) -> ScheduleStatus:
    """Return a schedule's status. Raises NotFound, JournalDamaged, JournalTooNew."""
    from provctl.schedules.cron import times_after

    found = schedules.read(name)
    past = schedules.past(found)
    times = times_after(found.cron, found.zone, now)
    upcoming = () if found.paused_at is not None else tuple(islice(times, _NEXT))
    return ScheduleStatus(name, found, past, upcoming, _outcome(folder, past.run))


def all_schedule_statuses(
    folder: StateDir, schedules: Schedules, now: float
) -> List[ScheduleStatus]:
    """Return the status of every schedule by name. Raises StateDirError."""
    entries = []
    for name in schedules.names():
        try:
            entries.append(schedule_status(folder, schedules, name, now))
        except ProvctlError as problem:
            entries.append(ScheduleStatus(name, damage=problem.message))
    return entries


def status_record(each: ScheduleStatus) -> Dict[str, Any]:
    """Return a schedule as a record."""
    found, past = each.schedule, each.past
    if found is None or past is None:
        return {**dict.fromkeys(_FIELDS), "name": each.name, "damage": each.damage}
    return {
        "name": each.name,
        "file": found.file or None,
        "params": _params(found),
        "cron": found.cron,
        "time_zone": found.zone,
        "catch_up": found.catch_up,
        "overlap": found.overlap,
        "priority": found.priority,
        "labels": dict(found.labels),
        "paused_at": format_iso(found.paused_at),
        "reason": found.reason,
        "next_at": [format_iso(at) for at in each.next_at],
        "last_at": format_iso(past.at),
        "run": past.run or None,
        "outcome": each.outcome,
        "waiting": len(past.waiting),
        "missed": past.missed,
        "skipped": past.skipped,
        "last_error": past.trouble or None,
        "last_error_at": format_iso(past.trouble_at),
        "damage": None,
    }


def _params(schedule: Schedule) -> Dict[str, Any]:
    if not schedule.body:
        return dict(schedule.params)
    given: Dict[str, Any] = json.loads(schedule.body)["params"]
    return given


_FIELDS = (
    *("name", "file", "params", "cron", "time_zone", "catch_up", "overlap"),
    *("priority", "labels", "paused_at", "reason", "next_at", "last_at", "run"),
    *("outcome", "waiting", "missed", "skipped", "last_error", "last_error_at"),
    "damage",
)


def _outcome(folder: StateDir, run_id: str) -> Optional[str]:
    run = folder.run(run_id)
    if not run_id or not run.path.exists():
        return None
    return summarise_or_damaged(run).status_word
