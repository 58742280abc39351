"""The cost of a watcher: many tasks that report, and a very large run."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from provctl.render.live.layout import render
from provctl.runs.live.view_builder import ViewBuilder
from provctl.storage.layout import StateDir
from tests.support.engine_driver import Dialogue
from tests.support.scheduler_harness import HandClock
from tests.support.workflows import a_workflow, task

__all__ = ["longest_step", "reporting", "watched"]

_FRAMES = 200
_SIZE = (50, 160)  # rows, columns
_CLOCK_S = 1 / os.sysconf("SC_CLK_TCK")

# Each reports one to four times a second, for so many seconds.
_SCRIPT = """
import sys, time
number, seconds = int(sys.argv[1]), float(sys.argv[2])
pause = 1 / (1 + number % 4)
steps = int(seconds / pause)
for step in range(steps):
    print(f"PROGRESS: {step}/{steps} copying part {step} of {steps}", flush=True)
    time.sleep(pause)
"""


def reporting(folder: Path, *, at_work: int, waiting: int, seconds: float) -> Path:
    """Write a workflow of tasks that report for some time, and of others that wait."""
    script = folder / "report.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    tasks: Dict[str, Any] = {}
    for number in range(at_work):
        words = [sys.executable, "-I", "-S", str(script), str(number), str(seconds)]
        tasks[f"copy-{number}"] = {"command": words}
    for number in range(waiting):
        needs = [f"copy-{number % at_work}"]
        tasks[f"index-{number}"] = {"command": ["true"], "needs": needs}
    file = folder / f"reporting-{waiting}.json"
    file.write_text(json.dumps({"name": file.stem, "tasks": tasks}), encoding="utf-8")
    return file


def watched(
    command: Sequence[str], env: Mapping[str, str], *, warm_s: float, seconds: float
) -> Tuple[float, float]:
    """Watch with `command` at a terminal; return its CPU in percent of one core.

    Also return how many bytes it writes per second. The command is ended afterwards.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        _drain(ours, warm_s)
        before, begin = _cpu_s(process.pid), time.monotonic()
        written = _drain(ours, seconds)
        took = time.monotonic() - begin
        used = _cpu_s(process.pid) - before
        process.kill()
    os.close(ours)
    return 100 * used / took, written / took


def longest_step(folder: Path, size: int) -> float:
    """Return the maximum CPU time in seconds that one picture of a large run takes.

    This covers the first picture until the stages are known and a task has finished.
    During this time the process that runs the tasks does nothing else.
    """
    layer = size // 100
    tasks = [
        task(f"t{n}", [f"t{n - layer}"] if n >= layer else []) for n in range(size)
    ]
    dialogue = Dialogue(slots=10)
    dialogue.submit(a_workflow(*tasks))
    clock = HandClock()
    StateDir(folder).run("r").attempts.mkdir(parents=True, mode=0o700)
    pictures = ViewBuilder(StateDir(folder), clock.now)
    took: List[float] = []
    for frame in range(_FRAMES):
        if frame == _FRAMES // 2:
            dialogue.hear("t0 exits 0")
        clock.time += 0.25
        began = time.thread_time()
        picture = pictures.live_view(dialogue.r, _SIZE[0])
        render(
            picture,
            now=clock.now(),
            width=160,
            height=_SIZE[0],
            fill=pictures.enrich_row,
        )
        took.append(time.thread_time() - began)
        known = len(picture.stages)
    assert known == 100, known
    return max(took)


def _drain(terminal: int, seconds: float) -> int:
    deadline, size = time.monotonic() + seconds, 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            return size
        size += len(os.read(terminal, 1 << 16))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks: List[int] = [int(field) for field in fields[11:13]]
    return sum(ticks) * _CLOCK_S
