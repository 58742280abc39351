"""The view of a run at a real terminal, and in a pipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.installed import ROOT

if TYPE_CHECKING:
    from tests.support.installed import Provctl

EXAMPLE = ROOT / "examples/multi-cloud-deployment.ncl"
_STAMP = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


def test_live_view_shows_bars_and_ends_with_the_final_picture(provctl: Provctl) -> None:
    at_full_length = {"PROVISIONING_SPEED": "1"}
    with provctl.terminal("run", EXAMPLE, env=at_full_length) as terminal:
        assert terminal.wait() == 0
    assert "copying the image for 2xCPU-4GB" in terminal.plain
    assert "━" in terminal.plain
    assert "\x1b[?25l" in terminal.raw  # the cursor is hidden ...
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")
    last = terminal.screen.splitlines()
    assert any("7/7" in line or "100%" in line for line in last), terminal.screen
    for task in ("server-1", "server-5", "kubernetes", "apps"):
        lines = [line for line in last if task in line]
        assert len(lines) == 1, terminal.screen
    assert "succeeded" in last[-1] or "succeeded" in last[-2], terminal.screen


def test_live_view_shows_the_end_of_the_log_of_a_failed_task(provctl: Provctl) -> None:
    script = "for i in $(seq 30); do echo line $i; done; echo why >&2; exit 3"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.terminal("run", file) as terminal:
        assert terminal.wait() == 10
    assert "why" in terminal.screen
    assert "line 30" in terminal.screen
    assert "line 1\n" not in terminal.screen
    assert "exit code 3" in terminal.screen


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"TERM": "dumb"}])
def test_unsupported_terminal_gets_plain_lines(
    provctl: Provctl, environ: dict[str, str]
) -> None:
    with provctl.terminal("run", EXAMPLE, env=environ) as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.raw
    lines = _STAMP.sub("", terminal.raw.replace("\r\n", "\n")).splitlines()
    assert lines[0].startswith("run ")
    assert sum(line.split()[1] == "started" for line in lines[1:-1]) == 7
    assert "7 succeeded" in lines[-1]


def test_pipe_gets_plain_lines(provctl: Provctl) -> None:
    out = provctl("run", EXAMPLE).out
    assert "\x1b" not in out
    assert "7 succeeded" in out.splitlines()[-1]


def test_ctrl_c_in_monitor_only_stops_watching(provctl: Provctl) -> None:
    file = _task(provctl, "echo ready; sleep 60")
    run = provctl.submit(file)
    provctl.wait_for_text(_log(provctl), "ready")
    for verb in ("monitor", "wait"):
        with provctl.terminal("workflow", verb, run) as terminal:
            if verb == "monitor":
                terminal.read_until("running")
            else:
                provctl.until(lambda: _sleeps(terminal.process.pid), "it waits")
            terminal.press("\x03")
            assert terminal.wait() == 130
        last = terminal.screen.strip().splitlines()[-1]
        said = "stopped watching; the run continues"
        assert last == (said if verb == "monitor" else f"^C{said}")
        assert provctl.task(run, "a")["status"] == "running"
    provctl("cancel", run)
    provctl("wait", run, code=11)


def _task(provctl: Provctl, script: str) -> Path:
    tasks = {
        "a": {"command": ["sh", "-c", script]},
        "b": {"command": ["true"], "needs": ["a"]},
    }
    return provctl.file(tasks)


def _log(provctl: Provctl) -> Path:
    provctl.until(provctl.runs, "there is a run")
    return provctl.log(provctl.runs()[0])


def _sleeps(pid: int) -> bool:
    return "nanosleep" in Path(f"/proc/{pid}/wchan").read_text()
