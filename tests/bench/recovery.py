"""The benchmark of recovery: many unfinished runs are created and then taken over.

    .venv/bin/python -m tests.bench.recovery             1,000 runs of 100 events
    .venv/bin/python -m tests.bench.recovery --alike     all of the same workflow
    .venv/bin/python -m tests.bench.recovery --profile

Each run has 70 tasks, of which 49 are done and none runs. The benchmark measures
reading, replaying and becoming the owner. `take_queued` does so in this process with
an executor that runs nothing, `scheduler start` is the whole command with the real
executor. The memory is that of the scheduler when it is ready. The duration of a sync
of this disk is printed for comparison: each run needs two.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Optional, Tuple

import psutil

from provctl.core.engine import events as ev
from provctl.core.engine.apply import apply, open_run
from provctl.core.engine.snapshot import snapshot
from provctl.core.engine.state import State
from provctl.core.model.attempt_result import AttemptResult
from provctl.storage.create_run import create_run
from provctl.storage.journal.checkpoint import save
from provctl.storage.journal.file import Journal, recover
from provctl.storage.layout import StateDir, write_fsync
from provctl.storage.lock import lock_owner
from provctl.storage.workflow_json import digest, dump_workflow
from tests.support.scheduler_harness import Household
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow

__all__ = ["main"]

DONE = 49


def workflow(number: int) -> Workflow:
    """Return a fan of tasks in a full pool, so that none starts by itself."""
    tasks = (task(f"t{n}", pools={"none": 1}) for n in range(70))
    return a_workflow(*tasks, params={"number": number})


def facts(run: str) -> Iterator[ev.Event]:
    """Return 99 events after the submission."""
    yield ev.OwnershipTaken(run, 1001.0, "scheduler", 1, "boot-1")
    for n in range(DONE):
        at = 1001.0 + n
        yield ev.AttemptStarted(run, at, f"t{n}", 1)
        yield ev.AttemptFinished(
            *(run, at, f"t{n}", 1, "succeeded"),
            AttemptResult(0, None, at, at + 0.5, 0.1, 1 << 23),
        )


def make(folder: StateDir, runs: int, *, tail: int, alike: bool) -> None:
    """Write the runs to disk, as a killed owner leaves them.

    Each has a checkpoint, and so many events after it.
    """
    for n in range(runs):
        run_id = f"run{n:05}"
        one = workflow(0 if alike else n)
        frozen = dump_workflow(one)
        submitted = ev.RunSubmitted(run_id, 1000.0, "w", 70, digest(frozen))
        run = create_run(folder, submitted, frozen)
        journal = Journal(run.journal, recover(run.journal, run_id)[1])
        state = State(slots=0, capacity={})
        open_run(state, submitted, one)
        written = list(facts(run_id))
        for place, event in enumerate(written, 1):
            apply(state, event)
            journal.add(event)
            if place == len(written) - tail:
                journal.commit()
                save(run, journal.position, snapshot(state, run_id))
        journal.commit()
        journal.close()
        folder.enqueue(run_id)


def take(folder: StateDir, *, profile: bool) -> Tuple[float, float]:
    """Return seconds and CPU seconds to take over all runs in this process."""

    async def story() -> Tuple[float, float]:
        house = Household(folder, capacity={"none": 0})
        profiler = cProfile.Profile()
        began, cpu = time.perf_counter(), time.process_time()
        if profile:
            profiler.enable()
        await house.scheduler.acquire_queued()
        profiler.disable()
        took = time.perf_counter() - began
        spent = time.process_time() - cpu
        assert not house.complaints, house.complaints[:3]
        house.scheduler.close()
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        return took, spent

    return asyncio.run(story())


def start(folder: StateDir) -> Tuple[float, float]:
    """Return seconds until `provctl scheduler start` owns all runs, and MiB."""
    provctl = str(Path(sys.executable).parent / "provctl")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder.path), "LANG": "C.UTF-8"}
    env["PROVCTL_STATE_DIR"] = str(folder.path)
    began = time.perf_counter()
    subprocess.run([provctl, "scheduler", "start"], env=env, check=True)
    took = time.perf_counter() - began
    holder = lock_owner(folder.scheduler / "lock")
    assert holder is not None
    size = psutil.Process(holder.pid).memory_info().rss / (1 << 20)
    subprocess.run([provctl, "scheduler", "stop"], env=env, check=True)
    return took, size


def sync_ms(folder: StateDir) -> float:
    """Return the median of the duration of a small sync in milliseconds."""
    file = folder.path / "synced"
    times = []
    for _ in range(50):
        began = time.perf_counter()
        write_fsync(file, b"x")
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def main(arguments: Optional[List[str]] = None) -> None:
    """Create the runs, take them over several times, print the durations."""
    parser = argparse.ArgumentParser(description="Measure recovery.")
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument(
        "--tail", type=int, default=20, help="facts behind each checkpoint; 99: none"
    )
    parser.add_argument(
        "--alike", action="store_true", help="all of one workflow, not each of its own"
    )
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("-n", "--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    gc.set_threshold(50_000)  # as the command does
    with tempfile.TemporaryDirectory(prefix="provctl-recovery-") as name:
        folder = StateDir(Path(name))
        folder.prepare()
        make(folder, options.runs, tail=options.tail, alike=options.alike)
        both = [take(folder, profile=options.profile) for _ in range(options.repeat)]
        told = ", ".join(f"{took:.2f} (CPU {cpu:.2f})" for took, cpu in both)
        sys.stdout.write(f"take_queued, {options.runs} runs: {told} s\n")
        started = [start(folder) for _ in range(options.repeat)]
        told = ", ".join(f"{took:.2f} ({size:.0f} MiB)" for took, size in started)
        sys.stdout.write(f"scheduler start, {options.runs} runs: {told} s\n")
        sys.stdout.write(f"a sync: {sync_ms(folder):.2f} ms\n")


if __name__ == "__main__":
    main()
