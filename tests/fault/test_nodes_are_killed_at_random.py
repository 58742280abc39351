"""Random `kill -9` of owners, agents and connections under tasks on two nodes.

A start can only be late if a shim takes long to its fence: so shims on the nodes are
slow. The control, the same driver with the fence on the nodes made of no effect, shows
that this one would find a double start. `FAULT_KILLS=500` for the long run.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List

import pytest

from tests.support.attempts import command_of, wait_until
from tests.support.nodes import agents_of, configure, sshd
from tests.support.thresholds import bar

if TYPE_CHECKING:
    from tests.support.installed import Provctl

SEED = 20261130
TASKS = 16  # of one run
NAMES = ("web1", "web2")
# Longer than it takes to connect to a node again, on a busy machine.
SLOW = {"PROVCTL_FAILPOINT_SLOW_SHIM_S": "10"}
KILLS = 8  # of one run: more would let nothing begin


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Path]:
    """A folder with an `ssh` that reaches this machine by every name."""
    place = tmp_path / "sshd"
    place.mkdir()
    with sshd(place) as made:
        yield made


def test_killed_owners_agents_and_connections_start_nothing_twice(
    provctl: Provctl, client: Path, figure: Callable[[str], None]
) -> None:
    configure(provctl, client, NAMES, SLOW)
    starts = provctl.folder / "starts"
    wanted, kills = bar("FAULT_KILLS", KILLS), Counter[str]()
    dice = random.Random(SEED)
    runs: List[str] = []
    while sum(kills.values()) < wanted:
        run = provctl.submit(_workflow(provctl, starts))
        runs.append(run)
        kills += _kill_at_random(provctl, dice, _over(provctl, run), most=KILLS)
        provctl("wait", run, code=10)
    happened: Counter[str] = Counter()
    wrong = 0
    for run in runs:
        told = {task["id"]: task["exit_code"] for task in provctl.status(run)["tasks"]}
        wrong += sum(told[f"t{n}"] != _code(n) for n in range(TASKS))
        happened.update(record["type"] for record in provctl.journal(run))
        assert "ok" in provctl("journal", "verify", run).out
    begun = Counter(_lines(starts))
    doubled = sum(times > 1 for times in begun.values())
    figure(
        f"nodes: {dict(kills)} killed (seed {SEED}) over {len(runs) * TASKS} tasks: "
        f"{wrong} wrong, {doubled} doubled; {happened['attempt_adopted']} adopted, "
        f"{happened['attempt_voided']} void"
    )
    assert (wrong, doubled) == (0, 0)
    assert len(begun) == len(runs) * TASKS
    assert happened["attempt_voided"] >= 1, happened
    provctl("scheduler", "stop")
    for name in NAMES:
        _until_no_agent(provctl.folder / name)


def test_without_the_fence_on_nodes_the_test_before_would_fail(
    provctl: Provctl, client: Path, figure: Callable[[str], None]
) -> None:
    configure(provctl, client, NAMES, {**SLOW, "PROVCTL_FAILPOINT_NO_FENCE": "1"})
    starts = provctl.folder / "starts"
    provctl.submit(_workflow(provctl, starts))
    deadline = time.monotonic() + 240

    def found() -> bool:
        assert time.monotonic() < deadline, "no double start: the driver is blunt"
        return len(_lines(starts)) > len(set(_lines(starts)))

    kills = _kill_at_random(provctl, random.Random(SEED), found, most=1000)
    figure(f"nodes, control without the fence: doubled after {dict(kills)}")


def _workflow(provctl: Provctl, starts: Path) -> Path:
    word = '"$PROVCTL_RUN/$PROVCTL_TASK"'
    return provctl.file(
        {
            f"t{n}": {
                "command": [
                    "sh",
                    "-c",
                    f'echo {word} >> "{starts}"; sleep {n % 3}; exit {_code(n)}',
                ]
            }
            for n in range(TASKS)
        }
    )


def _code(number: int) -> int:
    return 7 if number % 5 == 0 else 0


def _kill_at_random(
    provctl: Provctl, dice: random.Random, enough: Callable[[], bool], *, most: int
) -> Counter[str]:
    """Kill what may die until it is enough; return how often what was killed."""
    kills: Counter[str] = Counter()
    while not enough() and sum(kills.values()) < most:
        time.sleep(dice.uniform(1, 4))
        what = dice.choice(["owner", "agent", "agent", "ssh"])
        if what == "owner":
            provctl.kill_scheduler()
            provctl("scheduler", "start")
            kills[what] += 1
            continue
        found = _pids(provctl)[what]
        if found:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(found), signal.SIGKILL)
                kills[what] += 1
    return kills


def _pids(provctl: Provctl) -> Dict[str, List[int]]:
    agents = [pid for name in NAMES for pid in agents_of(provctl.folder / name)]
    config = f"{provctl.folder}/sshd/ssh_config"
    names = [entry.name for entry in Path("/proc").iterdir()]
    everything = [int(name) for name in names if name.isdigit()]
    clients = [pid for pid in everything if config in command_of(pid)]
    return {"agent": agents, "ssh": clients}


def _over(provctl: Provctl, run: str) -> Callable[[], bool]:
    return lambda: not (provctl.state / "queue" / run).exists()


def _until_no_agent(state: Path) -> None:
    wait_until(lambda: not agents_of(state), f"no agent is left on {state.name}")


def _lines(path: Path) -> List[str]:
    return path.read_text().split() if path.exists() else []
