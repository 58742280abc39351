"""Owns measuring what a watcher costs while many tasks report their progress."""

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

__all__ = ["reporting", "watched"]

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
    """Write a workflow of tasks that report for so long, and of others that wait."""
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

    And how many bytes it writes a second. It is ended afterwards.
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
