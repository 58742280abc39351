"""Owns the bench of recovery: many unfinished runs, made in process, taken over again.

    .venv/bin/python -m tests.bench.recovery             1,000 runs of 100 events
    .venv/bin/python -m tests.bench.recovery --profile

Each run has 70 tasks of which 49 are done and nothing runs: what is measured is
reading, replaying and becoming the owner. `take_queued` is that in process with an
executor that runs nothing, `scheduler start` the whole command with the real one.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Optional, Tuple

from provctl.core import events as ev
from provctl.core.checkpoint import snapshot
from provctl.core.machine import apply, open_run
from provctl.core.state import State
from provctl.journal.checkpoint import save
from provctl.journal.folder import StateFolder
from provctl.journal.frozen import digest, freeze
from provctl.journal.log import Journal, recover
from tests.support.household import Household
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from provctl.core.model import Workflow

__all__ = ["main"]

DONE = 49


def workflow() -> Workflow:
    """A fan of tasks in a pool that has no room, so that none starts by itself."""
    return a_workflow(*(task(f"t{n}", pools={"none": 1}) for n in range(70)))


def facts(run: str) -> Iterator[ev.Event]:
    """99 facts behind the submission."""
    yield ev.OwnerTook(run, 1001.0, "scheduler", 1, "boot-1")
    for n in range(DONE):
        at = 1001.0 + n
        yield ev.AttemptStarted(run, at, f"t{n}", 1)
        yield ev.AttemptFinished(
            *(run, at, f"t{n}", 1, "succeeded", 0, None, "", at, at + 0.5, 0.1, 1 << 23)
        )


def make(folder: StateFolder, runs: int, *, tail: int) -> None:
    """Put the runs on disk, as an owner that was killed leaves them.

    Each has a checkpoint, with so many facts behind it.
    """
    frozen = freeze(workflow())
    for n in range(runs):
        run_id = f"run{n:05}"
        submitted = ev.RunSubmitted(run_id, 1000.0, "w", 70, digest(frozen))
        run = folder.create_run(submitted, frozen)
        journal = Journal(run.journal, recover(run.journal, run_id)[1])
        state = State(slots=0, capacity={})
        open_run(state, submitted, workflow())
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


def take(folder: StateFolder, *, profile: bool) -> Tuple[float, float]:
    """Seconds, and seconds of CPU, to take all runs over in this process, as the scheduler does."""

    async def story() -> Tuple[float, float]:
        house = Household(folder, capacity={"none": 0})
        profiler = cProfile.Profile()
        began, cpu = time.perf_counter(), time.process_time()
        if profile:
            profiler.enable()
        house.scheduler.take_queued()
        profiler.disable()
        took = time.perf_counter() - began
        spent = time.process_time() - cpu
        assert not house.complaints, house.complaints[:3]
        house.scheduler.close()
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        return took, spent

    return asyncio.run(story())


def start(folder: StateFolder) -> float:
    """Seconds until `provctl scheduler start` says that all is in its hands."""
    provctl = str(Path(sys.executable).parent / "provctl")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder.path), "LANG": "C.UTF-8"}
    env["PROVCTL_STATE_DIR"] = str(folder.path)
    began = time.perf_counter()
    subprocess.run([provctl, "scheduler", "start"], env=env, check=True)
    took = time.perf_counter() - began
    subprocess.run([provctl, "scheduler", "stop"], env=env, check=True)
    return took


def main(arguments: Optional[List[str]] = None) -> None:
    """Make the runs, take them over several times, print what it took."""
    parser = argparse.ArgumentParser(description="Measure recovery.")
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument(
        "--tail", type=int, default=20, help="facts behind each checkpoint; 99: none"
    )
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("-n", "--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    gc.set_threshold(50_000)  # as the command does
    with tempfile.TemporaryDirectory(prefix="provctl-recovery-") as name:
        folder = StateFolder(Path(name))
        folder.prepare()
        make(folder, options.runs, tail=options.tail)
        both = [take(folder, profile=options.profile) for _ in range(options.repeat)]
        told = ", ".join(f"{took:.2f} (CPU {cpu:.2f})" for took, cpu in both)
        sys.stdout.write(f"take_queued, {options.runs} runs: {told} s\n")
        times = [start(folder) for _ in range(options.repeat)]
        told = ", ".join(f"{took:.2f}" for took in times)
        sys.stdout.write(f"scheduler start, {options.runs} runs: {told} s\n")


if __name__ == "__main__":
    main()
