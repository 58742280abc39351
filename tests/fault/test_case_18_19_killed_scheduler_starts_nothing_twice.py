"""Random `kill -9` of the background scheduler under four parallel tasks.

A start can only be late if a shim takes longer to its fence than the next scheduler
takes to start. Without that delay a test like this one finds nothing. The delay is
longer than the 80 ms of the catalogue, because a scheduler needs 200 ms to start, and
longer on a busy machine; so it is measured first. The control, the same driver without
the fence, shows that this test would find a second start.
`FAULT_KILLS=2000` is the long run, with about four tasks per kill.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Callable, Dict, List

from tests.support.thresholds import bar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

SEED = 20240229
TASKS = 100  # of one run; there are as many runs as the kills need
PARALLEL = 4
# How long shims take to their fence at most, in times of what a scheduler takes to come.
SLOW_SHIM = 2.0
SLOW_SHIM_LEAST_S = 0.6


def test_case_18_19_killed_scheduler_loses_nothing_and_starts_nothing_twice(
    provctl: Provctl, figure: Callable[[str], None]
) -> None:
    starts, environ = provctl.folder / "starts", _environ(provctl, SLOW_SHIM)
    wanted, kills = bar("FAULT_KILLS", 60), 0
    dice = random.Random(SEED)
    runs: List[str] = []
    while kills < wanted:
        run = provctl.submit(_workflow(provctl, starts), "-j", PARALLEL, env=environ)
        runs.append(run)
        kills += _kill_at_random(provctl, environ, dice, _over(provctl, run))
    happened: Counter[str] = Counter()
    lost = 0
    for run in runs:
        provctl("wait", run, code=10)
        told = {task["id"]: task["exit_code"] for task in provctl.status(run)["tasks"]}
        lost += sum(told[f"t{n}"] != _code(n) for n in range(TASKS))
        happened.update(record["type"] for record in provctl.journal(run))
    begun = Counter(_lines(starts))
    doubled = sum(times > 1 for times in begun.values())
    figure(
        f"case 18, 19: {kills} kills (seed {SEED}) over {len(runs) * TASKS} tasks: "
        f"{lost} lost, {doubled} doubled; {happened['attempt_adopted']} adopted, "
        f"{happened['attempt_voided']} void"
    )
    assert (lost, doubled) == (0, 0)
    assert len(begun) == len(runs) * TASKS
    # It met both kinds of starts: those that were late, and those that were not.
    assert happened["attempt_voided"] >= 3, happened
    assert happened["attempt_adopted"] >= 3, happened
    assert happened["owner_took"] >= kills, happened


def test_control_case_19_tasks_start_twice_without_the_fence(
    provctl: Provctl, figure: Callable[[str], None]
) -> None:
    starts = provctl.folder / "starts"
    environ = _environ(provctl, 3 * SLOW_SHIM, PROVCTL_FAILPOINT_NO_FENCE="1")
    provctl.submit(_workflow(provctl, starts), "-j", PARALLEL, env=environ)
    deadline = time.monotonic() + 120

    def found() -> bool:
        assert time.monotonic() < deadline, "no double start: the driver is blunt"
        return len(_lines(starts)) > len(set(_lines(starts)))

    kills = _kill_at_random(provctl, environ, random.Random(SEED), found)
    figure(f"case 19, control without the fence: doubled after {kills} kills")


def _environ(provctl: Provctl, slow: float, **more: str) -> Dict[str, str]:
    """The environment of schedulers whose shims are `slow` times slower than they."""
    took = []
    for _ in range(3):
        before = time.monotonic()
        provctl("scheduler", "start")
        took.append(time.monotonic() - before)
        provctl("scheduler", "stop")
    slow_s = max(slow * sorted(took)[1], SLOW_SHIM_LEAST_S)
    return {
        "PROVCTL_FAILPOINT_SLOW_SHIM_S": f"{slow_s:.3f}",
        # With room beside the late shims of killed schedulers, which keep their slots.
        "PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": str(4 * PARALLEL),
        **more,
    }


def _workflow(provctl: Provctl, starts: Path) -> Path:
    word = '"$PROVCTL_RUN/$PROVCTL_TASK"'
    tasks = {
        f"t{n}": {
            "command": [
                "sh",
                "-c",
                f'echo {word} >> "{starts}"; sleep 0.{n % 3}; exit {_code(n)}',
            ]
        }
        for n in range(TASKS)
    }
    return provctl.file(tasks)


def _code(number: int) -> int:
    return 7 if number % 5 == 0 else 0


def _kill_at_random(
    provctl: Provctl,
    environ: Dict[str, str],
    dice: random.Random,
    enough: Callable[[], bool],
) -> int:
    """Kill and restart the scheduler until it is enough; return how often."""
    kills = 0
    while not enough():
        time.sleep(dice.uniform(0.02, 0.3))
        provctl.kill_scheduler()
        kills += 1
        provctl("scheduler", "start", env=environ)
    return kills


def _over(provctl: Provctl, run: str) -> Callable[[], bool]:
    return lambda: not (provctl.state / "queue" / run).exists()


def _lines(path: Path) -> List[str]:
    return path.read_text().split() if path.exists() else []
