"""What is seen at a real terminal, and in place of it in a pipe."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.installed import ROOT

if TYPE_CHECKING:
    from tests.support.installed import Provctl

EXAMPLE = ROOT / "examples/multi-cloud-deployment.ncl"
_STAMP = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


def test_the_live_view_shows_bars_and_ends_with_the_whole(provctl: Provctl) -> None:
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


def test_a_failed_task_shows_the_end_of_its_log(provctl: Provctl) -> None:
    script = "for i in $(seq 30); do echo line $i; done; echo why >&2; exit 3"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.terminal("run", file) as terminal:
        assert terminal.wait() == 10
    assert "why" in terminal.screen
    assert "line 30" in terminal.screen
    assert "line 1\n" not in terminal.screen
    assert "exit code 3" in terminal.screen


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"TERM": "dumb"}])
def test_a_terminal_that_is_none_gets_plain_lines(
    provctl: Provctl, environ: dict[str, str]
) -> None:
    with provctl.terminal("run", EXAMPLE, env=environ) as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.raw
    lines = _STAMP.sub("", terminal.raw.replace("\r\n", "\n")).splitlines()
    assert lines[0].startswith("run ")
    assert sum(line.split()[1] == "started" for line in lines[1:-1]) == 7
    assert "7 succeeded" in lines[-1]


def test_a_pipe_gets_plain_lines(provctl: Provctl) -> None:
    out = provctl("run", EXAMPLE).out
    assert "\x1b" not in out
    assert "7 succeeded" in out.splitlines()[-1]


def test_a_reader_that_leaves_early_ends_no_run(provctl: Provctl) -> None:
    file = provctl.file({f"t{n}": {"command": ["true"]} for n in range(50)})
    with provctl.start("run", file) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.stdout.close()
        owner.wait(timeout=20)
    assert provctl.status("@last")["outcome"] == "succeeded"


# -- Ctrl-C ---------------------------------------------------------------------------


def test_ctrl_c_gives_tasks_time_to_end(provctl: Provctl) -> None:
    file = _task(
        provctl,
        "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done",
    )
    with provctl.terminal("run", file) as terminal:
        provctl.wait_for_text(_log(provctl), "ready")
        terminal.press("\x03")
        assert terminal.wait() == 11
    assert "bye" in _log(provctl).read_text()
    told = provctl.status("@last")
    assert told["outcome"] == "cancelled"
    assert [task["outcome"] for task in told["tasks"]] == ["cancelled"] * 2


def test_a_second_ctrl_c_kills_at_once(provctl: Provctl) -> None:
    long_grace = {"PROVCTL_EXECUTOR_GRACE_SECONDS": "600"}
    file = _task(provctl, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    with provctl.terminal("run", file, env=long_grace) as terminal:
        provctl.wait_for_text(_log(provctl), "ready")
        terminal.press("\x03")
        journal = provctl.state / "runs" / provctl.runs()[0] / "journal.jsonl"
        provctl.wait_for_text(journal, '"type":"attempt_stopping"')
        terminal.press("\x03")
        assert terminal.wait() == 11
    assert provctl.task("@last", "a")["signal"] == signal.SIGKILL


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
        assert "the run goes on" in terminal.plain
        assert provctl.task(run, "a")["status"] == "running"
    provctl("cancel", run)
    provctl("wait", run, code=11)


def test_a_closed_terminal_leaves_the_tasks_and_the_run(provctl: Provctl) -> None:
    file = _task(provctl, "echo ready; sleep 1.5; exit 7")
    with provctl.terminal("run", file) as terminal:
        provctl.wait_for_text(_log(provctl), "ready")
        os.kill(terminal.process.pid, signal.SIGHUP)
        terminal.process.wait(timeout=10)
    (run,) = provctl.runs()
    assert provctl.status(run)["outcome"] is None
    provctl("workflow", "resume", run, code=10)
    assert provctl.task(run, "a")["exit_code"] == 7


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
