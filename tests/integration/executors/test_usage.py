"""Resource usage of an attempt, measured by another process."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Optional

from provctl.executors.local.resource_usage import ResourceMeter

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef, ResourceUsage
    from tests.support.attempts import Bench

_MEMORY = (
    "import time; x = b'x' * 20_000_000; print('ready', flush=True); time.sleep(60)"
)


def end(bench: Bench, *places: AttemptRef) -> None:
    """Stop everything that runs, and wait for it."""
    for place in places:
        bench.stop(place, now=True)
        bench.end_of(place)


def over(bench: Bench, place: AttemptRef, seconds: float = 0.5) -> ResourceUsage:
    """The resource usage of an attempt over some time."""
    meter = ResourceMeter(place)
    assert meter.read(100.0) is not None
    bench.work(seconds)
    usage: Optional[ResourceUsage] = meter.read(100.0 + seconds)
    assert usage is not None
    assert usage.cpu_percent is not None
    return usage


def test_cpu_of_busy_and_idle_processes_is_measured(bench: Bench) -> None:
    busy = bench.shell("echo ready; (while :; do :; done)")
    idle = bench.shell("echo ready; sleep 60")
    bench.until_ready(busy, idle)
    assert any((over(bench, busy).cpu_percent or 0) > 10 for _ in range(20))
    assert (over(bench, idle).cpu_percent or 0) < 10
    end(bench, busy, idle)


def test_cpu_of_finished_children_is_counted(bench: Bench) -> None:
    place = bench.shell(
        "echo ready; while :; do head -c 3000000 /dev/zero | cksum; done"
    )
    bench.until_ready(place)
    assert any((over(bench, place, 1.0).cpu_percent or 0) > 10 for _ in range(20))
    end(bench, place)


def test_memory_of_the_whole_tree_is_measured(bench: Bench) -> None:
    place = bench.shell(f'{sys.executable} -I -S -c "{_MEMORY}" & wait')
    small = bench.shell("echo ready; sleep 60")
    bench.until_ready(place, small)
    large, little = ResourceMeter(place).read(1.0), ResourceMeter(small).read(1.0)
    assert large is not None
    assert little is not None
    assert large.rss_bytes > 20_000_000 > little.rss_bytes > 0
    assert large.cpu_percent is None, "there was no look before"
    end(bench, place, small)


def test_finished_attempt_has_no_usage(bench: Bench) -> None:
    place = bench.launch("true")
    bench.end_of(place)
    assert ResourceMeter(place).read(1.0) is None
    assert ResourceMeter(replace(place, attempt=7)).read(1.0) is None


def test_reused_pid_is_not_measured(bench: Bench) -> None:
    place = bench.shell("echo ready; sleep 60")
    bench.until_ready(place)
    stale = replace(place, attempt=7)
    # As its shim left it, but that none has the lock; the number is ours.
    stale.file("go").write_bytes(b"%d\n" % os.getpid() + bytes(4000))
    assert ResourceMeter(stale).read(1.0) is None
    assert ResourceMeter(place).read(1.0) is not None
    end(bench, place)
