"""Processes that outlive their task are killed, and whoever asks is told so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def test_processes_that_outlive_their_task_are_told_of(provctl: Provctl) -> None:
    script = "setsid sleep 600 & exit 0"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    said = "  a: processes that outlived it and were killed: 1\n"
    assert said in provctl("run", file).out
    assert said in provctl("workflow", "status", "@last").out
    record = json.loads(provctl("workflow", "status", "@last", "-o", "json").out)
    assert record["tasks"][0]["survivors"] == 1


def test_the_control_nothing_is_left(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "sleep 0.01 & wait"]}})
    assert "outlived" not in provctl("run", file).out
