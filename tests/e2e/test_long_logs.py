"""The log of a task is limited: `executor.log_max_mb`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl

MB = 1024 * 1024


def test_long_log_keeps_its_beginning_and_its_end(provctl: Provctl) -> None:
    small = {"PROVCTL_EXECUTOR_LOG_MAX_MB": "1"}
    script = "echo first; yes | head -c 20000000; echo last"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    provctl("run", file, env=small)
    (run,) = provctl.runs()
    assert provctl.log(run).stat().st_size <= MB + 4096
    log = provctl("logs", run, "a").out
    assert log.startswith("first\ny\n")
    assert log.endswith("y\nlast\n")
    (marker,) = [
        line for line in log.splitlines() if line not in ("first", "y", "last")
    ]
    (ended,) = [r for r in provctl.journal(run) if r["type"] == "attempt_finished"]
    dropped = ended["log_dropped_bytes"]
    assert 18 * MB < dropped < 20_000_011
    status = provctl("workflow", "status", run).out
    assert f"  a: bytes dropped from its log: {dropped}\n" in status
    assert re.sub(r"[ ,_]", "", str(dropped)) in re.sub(r"[ ,_]", "", marker)


def test_control_short_log_is_complete(provctl: Provctl) -> None:
    script = "echo first; yes | head -c 200000; echo last"
    provctl("run", provctl.file({"a": {"command": ["sh", "-c", script]}}))
    log = provctl("logs", "@last", "a").out
    assert len(log) == len("first\n") + 200_000 + len("last\n")
