"""The background scheduler: start, stop, restart, status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.attempts import processes_with

if TYPE_CHECKING:
    from tests.support.installed import Provctl

ID = re.compile(r"[bcdfghjkmnpqrstvwxz][bcdfghjkmnpqrstvwxz2-9]{9}")


def test_scheduler_status_has_the_documented_fields(provctl: Provctl) -> None:
    told = provctl("scheduler", "status", "-o", "json").json()
    assert (told["running"], told["pid"], told["socket"]) == (False, None, None)
    assert told["state_dir"] == str(provctl.state)
    assert not provctl.state.exists(), "looking changed something"
    provctl("scheduler", "start")
    told = provctl("scheduler", "status", "-o", "json").json()
    assert told["running"] is True
    assert [told["pid"]] == provctl.schedulers()
    assert told["socket"].startswith(str(provctl.state))
    assert told["version"] in provctl("--version").out
    assert "started" in provctl("scheduler", "logs").out


def test_second_start_and_second_stop_succeed(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    before = provctl.schedulers()
    assert "already running" in provctl("scheduler", "start").err
    assert provctl.schedulers() == before
    provctl("scheduler", "stop")
    assert provctl.schedulers() == []
    assert "no scheduler is running" in provctl("scheduler", "stop").err


@pytest.mark.parametrize("how", ["stop and start", "restart"])
def test_tasks_survive_a_restart_of_the_scheduler(provctl: Provctl, how: str) -> None:
    script = "echo ready $$; exec sleep 60"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.until_ready(run)
    before, scheduler = _start_of_main(provctl, run), provctl.schedulers()
    if how == "restart":
        provctl("scheduler", "restart")
    else:
        assert "1 task" in provctl("scheduler", "stop").err
        assert _start_of_main(provctl, run) == before
        provctl("scheduler", "start")
    assert provctl.schedulers() != scheduler
    assert _start_of_main(provctl, run) == before
    assert provctl.task(run, "a")["attempts"] == 1
    provctl("cancel", run)
    provctl("wait", run, code=11)
    assert processes_with(f"PROVCTL_RUN={run}") == []


def test_socket_and_files_are_private(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    for path in [provctl.state, *provctl.state.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


def _start_of_main(provctl: Provctl, run: str) -> str:
    """The start time of the first task's process; fails if it is gone."""
    pid = provctl.log(run).read_text().split()[1]
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[19]
