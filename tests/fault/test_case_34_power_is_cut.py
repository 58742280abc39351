"""The power of the disk is cut while runs are submitted and tasks finish.

What was acknowledged before the cut must exist after the next start: a submission by
its id on stdout, the result of a task by `status`. No task may start twice; tasks
write to another disk, which keeps its power. All processes are killed, and the next
start has another boot id, as after a reboot. `FAULT_CUTS=200` is the long run.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Sequence, Set

import pytest

from tests.support.power_cut import PowerDisk, need_power_disk
from tests.support.strace import need_strace
from tests.support.thresholds import bar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

SEED = 20240301
_SUBMITTERS = 2
_TASKS = 4


@pytest.fixture
def disk(provctl: Provctl, tmp_path: Path) -> Iterator[PowerDisk]:
    """The disk of the state directory."""
    need_power_disk(tmp_path)
    disk = PowerDisk(tmp_path / "disk.img", provctl.state)
    try:
        yield disk
        provctl.kill_everything()
    finally:
        disk.remove()


class _Acknowledged:
    """What commands reported that ended before the cut."""

    def __init__(self) -> None:
        self.cut = threading.Event()
        self.runs: Set[str] = set()
        self.codes: Dict[str, int] = {}  # RUN/TASK
        self._lock = threading.Lock()

    def take(self, runs: Set[str], codes: Dict[str, int]) -> None:
        """Store an id if the power is not yet cut; later ones may be lost."""
        with self._lock:
            if not self.cut.is_set():
                self.runs |= runs
                self.codes.update(codes)

    def cut_power(self, disk: PowerDisk) -> None:
        """Cut the power; what is reported from now on does not count."""
        with self._lock:
            self.cut.set()
        disk.cut()


def test_case_34_power_cut_loses_nothing_acknowledged_and_repeats_no_task(
    provctl: Provctl, disk: PowerDisk, figure: Callable[[str], None]
) -> None:
    cuts, dice = bar("FAULT_CUTS", 10), random.Random(SEED)
    lost: List[str] = []
    told: Counter[str] = Counter()
    for number in range(cuts):
        acknowledged = _until_cut(provctl, disk, dice)
        lost += _lost(provctl, acknowledged, boot=f"boot-{number}")
        told["runs"] += len(acknowledged.runs)
        told["ends"] += len(acknowledged.codes)
    twice = {task: times for task, times in _ran(provctl).items() if times > 1}
    figure(
        f"case 34: {cuts} power cuts (seed {SEED}), {told['runs']} submissions and "
        f"{told['ends']} ends of tasks acknowledged: {len(lost)} lost, "
        f"{len(twice)} of {len(_ran(provctl))} tasks doubled"
    )
    assert not lost, lost
    assert not twice, twice
    assert told["runs"] > cuts, told
    assert told["ends"] > cuts, told


def test_control_case_34_power_cut_loses_runs_without_fsync(
    provctl: Provctl, disk: PowerDisk, figure: Callable[[str], None]
) -> None:
    need_strace()
    dice = random.Random(SEED)
    no_sync = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null"]
    no_sync += ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"]
    acknowledged = _until_cut(provctl, disk, dice, under=no_sync)
    lost = _lost(provctl, acknowledged, boot="boot")
    figure(f"case 34, control without fsync: {len(lost)} lost in 1 power cut")
    assert lost


def _until_cut(
    provctl: Provctl, disk: PowerDisk, dice: random.Random, under: Sequence[str] = ()
) -> _Acknowledged:
    """Submit runs and read results until the power is cut at a random moment."""
    acknowledged = _Acknowledged()
    file = _workflow(provctl)
    threads = [
        threading.Thread(target=_submit, args=(provctl, file, acknowledged, under))
        for _ in range(_SUBMITTERS)
    ]
    for thread in threads:
        thread.start()
    provctl.until(lambda: acknowledged.codes, "an end is told")
    time.sleep(dice.uniform(0.0, 0.8))
    acknowledged.cut_power(disk)
    provctl.kill_everything()
    for thread in threads:
        thread.join()
    provctl.kill_everything()
    disk.unmount()
    disk.mount()
    return acknowledged


def _submit(
    provctl: Provctl, file: Path, acknowledged: _Acknowledged, under: Sequence[str]
) -> None:
    while not acknowledged.cut.is_set():
        with provctl.start("workflow", "submit", file, under=under) as process:
            out, _ = process.communicate()
        if process.returncode != 0:
            continue
        run = out.decode().split()[-1]
        acknowledged.take({run}, {})
        while not acknowledged.cut.is_set():
            codes = _codes(provctl, run)
            acknowledged.take(set(), {f"{run}/{t}": c for t, c in codes.items()})
            if len(codes) == _TASKS:
                break


def _codes(provctl: Provctl, run: str) -> Dict[str, int]:
    """The exit codes that `status` reports now; none if it cannot."""
    with provctl.start("workflow", "status", run, "-o", "json") as process:
        out, _ = process.communicate()
    if process.returncode != 0:
        return {}
    tasks = json.loads(out)["tasks"]
    return {t["id"]: t["exit_code"] for t in tasks if t["exit_code"] is not None}


def _lost(provctl: Provctl, acknowledged: _Acknowledged, *, boot: str) -> List[str]:
    """Everything that differs from what was reported, after the next start."""
    provctl.environ["PROVCTL_FAILPOINT_BOOT_ID"] = boot
    provctl("scheduler", "start")
    lost = [run for run in acknowledged.runs if run not in provctl.runs()]
    for run in sorted(acknowledged.runs - set(lost)):
        done = provctl("wait", run, code=None)
        if done.code not in (10, 13):  # ended, or held over a task that was running
            lost.append(f"{run}: {done.code} {done.err}")
            continue
        codes = _codes(provctl, run)
        lost += [
            f"{name}: {code}, now {codes.get(name.partition('/')[2])}"
            for name, code in acknowledged.codes.items()
            if name.startswith(run) and codes.get(name.partition("/")[2]) != code
        ]
    provctl("scheduler", "stop")
    return lost


def _workflow(provctl: Provctl) -> Path:
    """A chain of tasks that write to a disk with power, and exit with 0 or 7."""
    tasks: Dict[str, object] = {}
    for number in range(_TASKS):
        script = f'echo "$PROVCTL_RUN/$PROVCTL_TASK" >> "{provctl.folder}/ran"; '
        script += f"sleep 0.0{number}; exit {7 * (number % 2)}"
        needs = [{"task": before, "on": "done"} for before in list(tasks)[-1:]]
        tasks[f"t{number}"] = {"command": ["sh", "-c", script], "needs": needs}
    return provctl.file(tasks)


def _ran(provctl: Provctl) -> Counter[str]:
    return Counter((provctl.folder / "ran").read_text().split())
