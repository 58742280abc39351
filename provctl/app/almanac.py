"""Owns what is told of schedules: each with its next times, and what became of the last.

Read from disk: it takes no scheduler.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from provctl.api.times import iso
from provctl.errors import ProvctlError
from provctl.journal.summary import account

if TYPE_CHECKING:
    from provctl.core.schedule import Past, Schedule
    from provctl.journal.folder import StateFolder
    from provctl.journal.schedules import Schedules

__all__ = ["Entry", "all_entries", "entry", "record"]

_NEXT = 5  # times


@dataclass(frozen=True)
class Entry:
    """A schedule as it is; or `damage`, what is wrong with its files.

    `next_at` are the next times, in seconds since the epoch, none of a paused one;
    `outcome` is that of the latest run, or its status.
    """

    name: str
    schedule: Optional[Schedule] = None
    past: Optional[Past] = None
    next_at: Tuple[float, ...] = ()
    outcome: Optional[str] = None
    damage: str = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that runs get by it."""
        return {} if self.schedule is None else self.schedule.labels_of_runs


def entry(folder: StateFolder, schedules: Schedules, name: str, now: float) -> Entry:
    """Return a schedule as it is. Raises NotFound, JournalDamaged, JournalTooNew."""
    from provctl.scheduler.cron import times_after

    found = schedules.read(name)
    past = schedules.past(found)
    times = times_after(found.cron, found.zone, now)
    upcoming = () if found.paused_at is not None else tuple(islice(times, _NEXT))
    return Entry(name, found, past, upcoming, _outcome(folder, past.run))


def all_entries(folder: StateFolder, schedules: Schedules, now: float) -> List[Entry]:
    """Return every schedule by its name, damaged ones too. Raises StateUnusable."""
    entries = []
    for name in schedules.names():
        try:
            entries.append(entry(folder, schedules, name, now))
        except ProvctlError as problem:
            entries.append(Entry(name, damage=problem.message))
    return entries


def record(each: Entry) -> Dict[str, Any]:
    """Return a schedule for programs."""
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
        "paused_at": iso(found.paused_at),
        "reason": found.reason,
        "next_at": [iso(at) for at in each.next_at],
        "last_at": iso(past.at),
        "run": past.run or None,
        "outcome": each.outcome,
        "waiting": len(past.waiting),
        "missed": past.missed,
        "skipped": past.skipped,
        "last_error": past.trouble or None,
        "last_error_at": iso(past.trouble_at),
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


def _outcome(folder: StateFolder, run_id: str) -> Optional[str]:
    run = folder.run(run_id)
    if not run_id or not run.path.exists():
        return None
    return account(run).word
