"""Processes that outlive their task are killed and reported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def test_leftover_processes_are_reported(provctl: Provctl) -> None:
    script = "setsid sleep 600 & exit 0"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    said = "  a: 1 leftover process killed\n"
    assert said in provctl("run", file).out
    assert said in provctl("workflow", "status", "@last").out
    record = json.loads(provctl("workflow", "status", "@last", "-o", "json").out)
    assert record["tasks"][0]["survivors"] == 1


def test_control_task_without_leftover_processes(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "sleep 0.01 & wait"]}})
    assert "leftover" not in provctl("run", file).out


def test_processes_of_a_cancelled_task_are_killed_without_a_message(
    provctl: Provctl,
) -> None:
    script = "setsid sleep 600 & sleep 600"
    file = provctl.file({"a": {"command": ["sh", "-c", script], "timeout": "1s"}})
    told = provctl("run", file, code=12).out
    assert "timed out" in told
    assert "leftover" not in told + provctl("workflow", "status", "@last").out
