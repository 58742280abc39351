"""Hooks run at least once, although processes die before or during them."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.attempts import alive
from tests.support.strace import Point, has_injected, killing, need_strace, under

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

# What a process is made with, by one C library or another.
FORKS = ("clone", "clone3", "fork", "vfork")


class Heard:
    """A hook that runs `first` and then stores its input."""

    def __init__(self, provctl: Provctl, first: str = "true") -> None:
        self.path = provctl.folder / "heard"
        hook = ["sh", "-c", f'{first}; cat >> "{self.path}"']
        text = f"[hooks]\non_run_finished = {json.dumps([hook])}\n"
        self.env = {"PROVCTL_CONFIG": str(provctl.text("hooks.toml", text))}

    def lines(self) -> List[Dict[str, Any]]:
        """The stored inputs."""
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


def _marks(provctl: Provctl) -> List[Path]:
    return list((provctl.state / "hooks").iterdir())


def _killed_before_its_hooks(provctl: Provctl, heard: Heard) -> str:
    """Run a workflow, and kill its owner when it starts the hooks."""
    need_strace()
    file, trace = provctl.file({"a": {"command": ["true"]}}), provctl.folder / "trace"
    options = ("-y", "-e", "trace=" + ",".join(f"?{call}" for call in FORKS))
    provctl("run", file, env=heard.env, under=under(trace, options))
    provctl.until(lambda: len(heard.lines()) == 1, "the first is told")
    provctl.until(lambda: not _marks(provctl), "its hooks are through")
    calls = re.findall(r"^(?:\d+ +)?(\w+)\(", trace.read_text(), re.MULTILINE)
    point = Point(calls[-1], calls.count(calls[-1]), "the start of the hooks")
    before = set(provctl.runs())
    log = provctl.folder / "strace"
    done = provctl(
        "run", file, env=heard.env, code=-9, under=under(log, killing(point))
    )
    assert has_injected(log), done
    (run,) = set(provctl.runs()) - before
    assert provctl.status(run)["outcome"] == "succeeded"
    assert len(heard.lines()) == 1
    return run


def test_hooks_run_after_the_owner_died_before_them(provctl: Provctl) -> None:
    heard = Heard(provctl)
    run = _killed_before_its_hooks(provctl, heard)
    provctl("scheduler", "start", env=heard.env)
    provctl.until(lambda: len(heard.lines()) == 2, "it is told after all")
    assert heard.lines()[1]["id"] == run
    provctl.until(lambda: not _marks(provctl), "nothing is left to be told")


def test_control_hooks_do_not_run_without_their_mark(provctl: Provctl) -> None:
    heard = Heard(provctl)
    _killed_before_its_hooks(provctl, heard)
    (mark,) = _marks(provctl)
    mark.unlink()
    provctl("scheduler", "start", env=heard.env)
    other = provctl.submit(provctl.file({"a": {"command": ["true"]}}), env=heard.env)
    provctl.until(lambda: len(heard.lines()) == 2, "the other one is told")
    assert heard.lines()[1]["id"] == other


@pytest.mark.parametrize("who", ["scheduler", "foreground"])
def test_hooks_run_again_after_their_runner_died(provctl: Provctl, who: str) -> None:
    pids, go = provctl.folder / "pids", provctl.folder / "go"
    wait = f'echo $PPID >> "{pids}"; until [ -e "{go}" ]; do sleep 0.02; done'
    heard = Heard(provctl, first=wait)
    file = provctl.file({"a": {"command": ["true"]}})
    if who == "scheduler":
        run = provctl.submit(file, env=heard.env)
        provctl("wait", run)
    else:
        provctl("run", file, env=heard.env)
        (run,) = provctl.runs()
    runner = int(provctl.wait_for_text(pids, "\n"))
    os.kill(runner, signal.SIGKILL)
    provctl.until(lambda: not alive(runner), "it is gone")
    assert len(_marks(provctl)) == 1
    provctl("scheduler", "restart", env=heard.env)
    go.touch()
    # Twice, for the hook itself lived on: at least once is what is promised.
    provctl.until(lambda: len(heard.lines()) == 2, "it is told again")
    assert {told["id"] for told in heard.lines()} == {run}
    provctl.until(lambda: not _marks(provctl), "nothing is left to be told")
