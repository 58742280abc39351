"""Schedules for tests: one of them, and a runner whose clock is set by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, List, Optional, Set, Type

from provctl.config.settings import Settings
from provctl.core.model.schedule import Schedule, ScheduleState
from provctl.scheduler.clock import WallClock
from provctl.schedules.fire import ScheduleTrigger
from provctl.schedules.runner import ScheduleRunner, ScheduleRunnerDeps
from provctl.storage.layout import StateDir
from provctl.storage.run_summary import summaries
from provctl.storage.schedules import Schedules
from tests.support.run_folders import state_folder
from tests.support.scheduler_harness import HandClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

__all__ = ["NOON", "TimeOffice", "a_schedule", "backdated"]

# 2096-10-02 12:00 UTC: no alarm of the real clock rings while the tests go by this one.
NOON = 4_000_017_600.0


def a_schedule(name: str = "s", **fields: Any) -> Schedule:
    """A schedule for every hour, created at noon."""
    given = {"file": "/nowhere.json", "cron": "0 * * * *", "zone": "UTC"}
    return Schedule(**{"name": name, "made": "m", "since": NOON, **given, **fields})


def backdated(
    provctl: Provctl, file: Path, *, hours: int = 24, **fields: Any
) -> Schedule:
    """A schedule for every hour, created some hours ago, without a scheduler since.

    The next time is half an hour away, so that none is due during a test.
    """
    now = WallClock().now()
    since, cron = now - 3600 * hours, f"{(int(now) // 60 + 30) % 60} * * * *"
    made = a_schedule(**{"file": str(file), "cron": cron, "since": since, **fields})
    Schedules(StateDir(provctl.state)).add(made)
    return made


async def _take_nothing() -> None:
    pass


class TimeOffice:
    """A schedule runner with real files, at a chosen time. Create it inside a loop."""

    def __init__(
        self,
        path: Path,
        folder: Optional[StateDir] = None,
        firing: Type[ScheduleTrigger] = ScheduleTrigger,
    ) -> None:
        self.folder = folder or state_folder(path)
        self.file = path / "w.json"
        if not self.file.exists():
            self.write(["true"])
        self.clock = HandClock(NOON)
        self.said: List[str] = []
        self.going: Set[str] = set()
        self.schedules = Schedules(self.folder)
        self.table = ScheduleRunner(
            ScheduleRunnerDeps(
                schedules=self.schedules,
                firing=firing(Settings(), self.folder),
                clock=self.clock,
                goes_on=self.going.__contains__,
                take=_take_nothing,
                log=self.said.append,
            )
        )

    def write(self, command: List[str]) -> None:
        """Let the workflow run something."""
        self.file.write_text(json.dumps({"tasks": {"a": {"command": command}}}))

    def add(self, **fields: Any) -> Schedule:
        """Add a schedule of the workflow."""
        made = a_schedule(**{"file": str(self.file), **fields})
        self.schedules.add(made)
        return made

    async def at(self, hours: float) -> None:
        """Advance to so many hours after noon and do everything that is due."""
        self.clock.time = NOON + 3600 * hours
        self.table.reload()
        await self.table.wait_idle()

    def past(self, name: str = "s") -> ScheduleState:
        """The state of the schedule on disk."""
        return self.schedules.past(self.schedules.read(name))

    def runs(self) -> List[str]:
        """The ids of all runs."""
        return [run.id for run in summaries(self.folder)]

    def close(self) -> None:
        """Close the runner."""
        self.table.close()
