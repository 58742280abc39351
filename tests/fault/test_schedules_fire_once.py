"""The scheduler dies while a schedule fires, or the clock changes: one run per time.

`FAULT_KILLS=2000` is the long run.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, Callable, Dict, Set

import pytest

from provctl.core.model.schedule import idempotency_key
from provctl.scheduler.clock import WallClock
from provctl.schedules.cron import times_after
from tests.support.clocks import SetClock
from tests.support.thresholds import bar
from tests.support.timetables import backdated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

SEED = 20240229
DAY, YEAR = 86_400, 365 * 86_400


@pytest.fixture
def ran(provctl: Provctl) -> Path:
    return provctl.folder / "ran"


@pytest.fixture
def file(provctl: Provctl, ran: Path) -> Path:
    script = f'echo x >> "{ran}"'
    return provctl.file({"a": {"command": ["sh", "-c", script]}})


def _shown(provctl: Provctl, name: str = "s") -> Dict[str, Any]:
    told: Dict[str, Any] = provctl("schedule", "show", name, "-o", "json").json()
    return told


def _dies(provctl: Provctl, moment: str) -> None:
    """Start a scheduler that is killed at a moment of its first firing."""
    env = {"PROVCTL_FAILPOINT_FIRING": moment}
    provctl("scheduler", "start", env=env, code=None)
    provctl.until(lambda: not provctl.schedulers(), f"it died {moment}")
    assert _shown(provctl)["run"] is None


def _fires(provctl: Provctl) -> str:
    provctl("scheduler", "start")
    run: str = provctl.until(lambda: _shown(provctl)["run"], "it is written down")
    provctl("wait", run)
    return run


@pytest.mark.parametrize(("moment", "made"), [("before", 0), ("after", 1)])
def test_schedule_fires_once_if_the_scheduler_dies_around_the_submission(
    provctl: Provctl, file: Path, ran: Path, moment: str, made: int
) -> None:
    backdated(provctl, file)
    _dies(provctl, moment)
    assert len(provctl.runs()) == made
    run = _fires(provctl)
    assert provctl.runs() == [run]
    assert ran.read_text() == "x\n"


def test_control_schedule_fires_twice_without_the_key(
    provctl: Provctl, file: Path
) -> None:
    backdated(provctl, file)
    _dies(provctl, "unkeyed")
    run = _fires(provctl)
    assert len(provctl.runs()) == 2
    assert run in provctl.runs()


def test_each_time_has_one_run_after_many_kills(
    provctl: Provctl, file: Path, ran: Path, figure: Callable[[str], None]
) -> None:
    dice, wanted, kills = random.Random(SEED), bar("FAULT_KILLS", 20), 0
    due: Set[str] = set()
    names = map("s{}".format, count())
    while kills < wanted:
        provctl("scheduler", "stop")
        name = next(names)  # the one before may have fired before the first kill
        how = {"catch_up": "all", "overlap": "allow"}
        made = backdated(provctl, file, hours=30, name=name, **how)
        now = WallClock().now()
        times = takewhile(now.__ge__, times_after(made.cron, "UTC", made.since))
        due |= {idempotency_key(made, at) for at in times}
        provctl("scheduler", "start")
        while _waits(provctl, name):
            time.sleep(dice.uniform(0.0, 0.2))
            provctl.kill_scheduler()
            kills += 1
            provctl("scheduler", "start")
    provctl("wait", *provctl.runs(), within_s=300)
    keys = Counter(provctl.journal(run)[0]["key"] for run in provctl.runs())
    figure(
        f"schedules: {kills} kills (seed {SEED}) over {len(due)} times, one run each"
    )
    assert due <= set(keys)
    assert set(keys.values()) == {1}
    assert ran.read_text() == "x\n" * len(keys)


def _waits(provctl: Provctl, name: str) -> bool:
    """Whether some missed times have no run yet."""
    row = _shown(provctl, name)
    return bool(row["waiting"] or row["run"] is None)


@pytest.mark.parametrize("jump", [-DAY, -600, 600])
def test_clock_set_between_owners_fires_nothing_twice(
    provctl: Provctl, file: Path, jump: int
) -> None:
    clock = SetClock(provctl)
    noon = (int(WallClock().now()) // 3600 + 12) % 24  # as far away as can be
    backdated(provctl, file, cron=f"0 {noon} * * *", hours=72)
    provctl("scheduler", "start", env=clock.env)
    run = provctl.until(lambda: _shown(provctl)["run"], "it has fired")
    provctl("scheduler", "stop")
    clock.set(jump)
    provctl("scheduler", "start", env=clock.env)
    # Another one fires: so it has looked at the schedules.
    backdated(provctl, file, name="t", made="t", hours=96)
    provctl("scheduler", "restart", env=clock.env)
    provctl.until(lambda: len(provctl.runs()) == 2, "the other one fires")
    assert _shown(provctl)["run"] == run


def test_schedule_continues_after_the_clock_was_a_year_ahead(
    provctl: Provctl, file: Path
) -> None:
    clock = SetClock(provctl)
    backdated(provctl, file)
    clock.set(YEAR)
    provctl("scheduler", "start", env=clock.env)
    provctl.until(lambda: _shown(provctl)["run"], "it has fired")
    provctl("scheduler", "stop")
    clock.set(0)
    provctl("scheduler", "start", env=clock.env)
    log = provctl.state / "scheduler" / "log"
    provctl.wait_for_text(
        log, "the clock was set back: continuing from the current time"
    )
    assert len(provctl.runs()) == 1
    following = _shown(provctl)["next_at"][0]
    assert following[:4] == time.strftime("%Y", time.gmtime(WallClock().now() + 3600))
