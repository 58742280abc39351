"""Random `kill -9` of the background scheduler while tasks are being started.

A start can only be late if a shim takes longer to its fence than the next scheduler
takes to come: without that delay a test like this one finds nothing. The control,
the same driver with the fence made of no effect, shows that this one would.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Callable, Dict, List

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

SEED = 20240229
TASKS = 240
PARALLEL = 8
SLOW_SHIM_S = 0.6


def test_killed_scheduler_starts_nothing_twice(provctl: Provctl) -> None:
    starts = provctl.folder / "starts"
    environ = _environ()
    run = provctl.submit(_workflow(provctl, starts), env=environ)

    kills = _kill_at_random(provctl, environ, lambda: _is_over(provctl, run))

    print(f"seed {SEED}: {kills} kills")  # noqa: T201  shown when it fails
    provctl("wait", run, code=10)
    assert Counter(_lines(starts)) == {f"t{n}": 1 for n in range(TASKS)}
    codes = {task["id"]: task["exit_code"] for task in provctl.status(run)["tasks"]}
    assert codes == {f"t{n}": _code(n) for n in range(TASKS)}
    happened = Counter(record["type"] for record in provctl.journal(run))
    # It met both kinds of starts: those that were late, and those that were not.
    assert happened["attempt_voided"] >= 3, happened
    assert happened["attempt_adopted"] >= 3, happened
    assert happened["owner_took"] >= kills >= 10, happened


def test_without_the_fence_the_driver_finds_double_starts(provctl: Provctl) -> None:
    starts = provctl.folder / "starts"
    environ = _environ(PROVCTL_FAILPOINT_NO_FENCE="1")
    provctl.submit(_workflow(provctl, starts), env=environ)
    deadline = time.monotonic() + 30

    def found() -> bool:
        assert time.monotonic() < deadline, "no double start: the driver is blunt"
        return len(_lines(starts)) > len(set(_lines(starts)))

    _kill_at_random(provctl, environ, found)


def _environ(**more: str) -> Dict[str, str]:
    return {
        "PROVCTL_FAILPOINT_SLOW_SHIM_S": str(SLOW_SHIM_S),
        "PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": str(PARALLEL),
        **more,
    }


def _workflow(provctl: Provctl, starts: Path) -> Path:
    tasks = {
        f"t{n}": {
            "command": [
                "sh",
                "-c",
                f'echo "$PROVCTL_TASK" >> "{starts}"; sleep 0.{n % 3}; exit {_code(n)}',
            ]
        }
        for n in range(TASKS)
    }
    return provctl.file(tasks)


def _code(number: int) -> int:
    return 7 if number % 5 == 0 else 0


def _kill_at_random(
    provctl: Provctl, environ: Dict[str, str], enough: Callable[[], bool]
) -> int:
    """Kill the scheduler and start it again until it is enough; return how often."""
    dice = random.Random(SEED)
    kills = 0
    while not enough():
        time.sleep(dice.uniform(0.05, 0.9))
        provctl.kill_scheduler()
        kills += 1
        provctl("scheduler", "start", env=environ)
    return kills


def _is_over(provctl: Provctl, run: str) -> bool:
    return not (provctl.state / "queue" / run).exists()


def _lines(path: Path) -> List[str]:
    return path.read_text().split() if path.exists() else []
