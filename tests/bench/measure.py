"""Measures whole processes: wall time, CPU of all child processes, memory."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Callable, Dict, List, Mapping, Sequence

import psutil

__all__ = ["Usage", "become_reaper", "clean_environment", "measure", "peak_memory"]

_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_S = 0.02


@dataclass(frozen=True)
class Usage:
    """What a process and its descendants used, in seconds."""

    wall_s: float
    cpu_s: float


def become_reaper() -> None:
    """Adopt orphans, so that the CPU of processes that outlive their parents counts."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def clean_environment(environ: Mapping[str, str]) -> Dict[str, str]:
    """Return the environment without variables that affect the measured programs."""
    return {
        name: value
        for name, value in environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("PROVCTL_")
    }


def measure(
    commands: Mapping[str, Callable[[], Sequence[str]]],
    env: Mapping[str, str],
    *,
    repeat: int,
) -> Dict[str, Usage]:
    """Run the commands in turns, `repeat` times each, and return their medians.

    Each run creates its command again. One round before the measurement is not counted.
    """
    taken: Dict[str, List[Usage]] = {name: [] for name in commands}
    for turn in range(repeat + 1):
        for name, command in commands.items():
            usage = _run(command(), env)
            if turn:
                taken[name].append(usage)
    return {
        name: Usage(median(u.wall_s for u in runs), median(u.cpu_s for u in runs))
        for name, runs in taken.items()
    }


def peak_memory(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command; return the peak memory in bytes of it and its descendants.

    Pages that processes share count once (PSS).
    """
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        root, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, sum(map(_memory_of, _tree(root))))
            time.sleep(_SAMPLE_S)
    _reap_orphans()
    return peak


def _run(command: Sequence[str], env: Mapping[str, str]) -> Usage:
    before, start = _children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    wall_s = time.perf_counter() - start
    _reap_orphans()
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{said}")
    return Usage(wall_s, _children_cpu_s() - before)


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _reap_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _tree(root: psutil.Process) -> List[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _memory_of(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.uss))
