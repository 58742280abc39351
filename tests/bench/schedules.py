"""The benchmark of schedules: many that are due at once, and the cost of waiting.

    .venv/bin/python -m tests.bench.schedules            200 schedules

A scheduler is started when each schedule has one time due. The benchmark prints how
long after its start the runs were on disk, and how often it woke up in the next half
minute.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from provctl.scheduler.clock import WallClock
from provctl.storage.layout import StateDir
from provctl.storage.run_summary import summaries
from tests.support.installed import Provctl
from tests.support.timetables import backdated

__all__ = ["main"]

QUIET_S = 30.0


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=200)
    count = parser.parse_args().schedules
    with tempfile.TemporaryDirectory() as name:
        provctl = Provctl(Path(name))
        try:
            measure(provctl, count)
        finally:
            provctl.end()


def measure(provctl: Provctl, count: int) -> None:
    """Start a scheduler with so many schedules, each of them due."""
    file = provctl.file({"a": {"command": ["true"]}})
    for number in range(count):
        how = {"name": f"s{number}", "cron": "0 0 29 2 *", "made": str(number)}
        made = backdated(provctl, file, hours=5 * 365 * 24, **how)
    provctl("scheduler", "start")
    ready = WallClock().now()
    provctl.until(lambda: len(provctl.runs()) == count, "all have fired", within_s=60)
    provctl("wait", *provctl.runs(), within_s=60)
    at = sorted(run.created_at - ready for run in summaries(StateDir(provctl.state)))
    print(f"{count} due at once: the first {at[0]:.2f} s, the last {at[-1]:.2f} s")  # noqa: T201
    time.sleep(1)
    before = wakes(provctl)
    time.sleep(QUIET_S)
    woken = wakes(provctl) - before
    print(f"then waiting for {made.cron!r}: {woken} wake-ups in {QUIET_S:g} s")  # noqa: T201


def wakes(provctl: Provctl) -> int:
    """Return how often the threads of the scheduler have slept and woken so far."""
    (pid,) = provctl.schedulers()
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for text in texts for line in text.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


if __name__ == "__main__":
    main()
