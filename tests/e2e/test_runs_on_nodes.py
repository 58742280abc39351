"""Runs on nodes over ssh, as users have them: commands, scripts, secrets, kills."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator

import pytest

from provctl.executors.protocol import MARK
from tests.support.attempts import processes_with, wait_until
from tests.support.nodes import agents_of, configure, sshd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

NAMES = ("web1", "web2")


@pytest.fixture(scope="module")
def ssh_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with sshd(tmp_path_factory.mktemp("sshd")) as place:
        yield place


@pytest.fixture
def remote(provctl: Provctl, ssh_client: Path) -> Iterator[Provctl]:
    """The command with two nodes in its configuration."""
    configure(provctl, ssh_client, NAMES)
    yield provctl
    provctl("scheduler", "stop", code=None)
    for name in NAMES:
        wait_until(lambda: not agents_of(provctl.folder / name), "no agent is left")  # noqa: B023


def workflow(remote: Provctl, **tasks: Dict[str, Any]) -> Path:
    path = remote.folder / "w.json"
    path.write_text(json.dumps({"name": "w", "tasks": tasks}))
    return path


def test_commands_and_scripts_run_on_nodes(remote: Provctl) -> None:
    first = {"command": ["sh", "-c", "echo on $PROVCTL_STATE_DIR; pwd"]}
    file = workflow(
        remote,
        one={**first, "place": {"node": "web2"}},
        two={"script": "{ip: 7, where: $env.PROVCTL_STATE_DIR}", "needs": ["one"]},
        three={
            "script": 'print "PROGRESS: 40% half"; $args.ip',
            "args": {"ip": {"$output": {"task": "two", "path": "ip"}}},
        },
        here={**first, "place": {"node": "local"}},
    )
    run = remote("run", file, "-o", "json", "-q").json()
    run_id = run[0]["id"] if isinstance(run, list) else run["id"]
    assert (
        f"on {remote.folder / 'web2'}\n" in remote("logs", f"{run_id}/one", "--raw").out
    )
    assert f"on {remote.state}\n" in remote("logs", f"{run_id}/here", "--raw").out
    outputs = remote("outputs", run_id, "-o", "json").json()
    assert json.dumps(outputs).count("7") >= 2
    assert "ok" in remote("journal", "verify", run_id).out


def test_a_secret_is_in_no_file_of_any_machine(remote: Provctl) -> None:
    task = {
        "command": ["sh", "-c", "echo see $TOKEN"],
        "secrets": {"TOKEN": "env:A_SECRET"},
    }
    file = workflow(remote, one=task)
    remote("run", file, "-q", env={**remote.environ, "A_SECRET": "hunter2-hunter2"})
    assert "see ****" in remote("logs", "@last").out
    texts = [p.read_bytes() for p in remote.folder.rglob("*") if p.is_file()]
    assert len(texts) > 10
    assert not any(b"hunter2-hunter2" in text for text in texts)


def test_a_task_outlives_its_scheduler_on_a_node(remote: Provctl) -> None:
    gate, begun = remote.folder / "go-on", remote.folder / "begun"
    script = f'echo ready; echo >> "{begun}"; until [ -e "{gate}" ]; do sleep 0.05; done; exit 7'
    run_id = remote(
        "submit", workflow(remote, one={"command": ["sh", "-c", script]})
    ).last_word
    wait_until(begun.exists, "it runs")
    pid = remote("scheduler", "status", "-o", "json").json()
    pid = (pid[0] if isinstance(pid, list) else pid)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "given to web" in remote("status", run_id).out, "it is said")
    assert "last heard at" in remote("status", run_id).out
    remote("scheduler", "start")
    wait_until(
        lambda: (
            "attempt_adopted" in remote("journal", "tail", run_id, "-o", "json").out
        ),
        "it is adopted",
    )
    gate.touch()
    remote("wait", run_id, code=10)
    status = remote("status", run_id, "-o", "json").json()
    task = (status[0] if isinstance(status, list) else status)["tasks"][0]
    assert (task["exit_code"], task["attempts"]) == (7, 1)
    assert len(begun.read_text().splitlines()) == 1


def test_what_an_adopted_task_has_of_a_pool_no_other_owner_gets(
    remote: Provctl,
) -> None:
    gate, begun = remote.folder / "go-on", remote.folder / "begun"
    config = remote.folder / "config.toml"
    config.write_text(config.read_text() + "[pools]\ncloud = 1\n")
    script = f'echo >> "{begun}"; until [ -e "{gate}" ]; do sleep 0.05; done'
    task = {"command": ["sh", "-c", script], "pools": {"cloud": 1}}
    run_id = remote("submit", workflow(remote, one=task)).last_word
    wait_until(begun.exists, "it runs")
    remote.kill_scheduler()
    remote("scheduler", "start")
    wait_until(
        lambda: (
            "attempt_adopted" in remote("journal", "tail", run_id, "-o", "json").out
        ),
        "it is adopted",
    )
    second = {**task, "command": ["sh", "-c", f'[ -e "{gate}" ]']}
    with remote.start("run", workflow(remote, two=second), "-q") as other:
        wait_until(lambda: len(remote.runs()) == 2, "the other run is there")
        time.sleep(2)  # it fails if it begins before the gate is open
        gate.touch()
        assert other.wait(60) == 0
    remote("wait", run_id)


def test_a_run_on_a_node_can_be_cancelled(remote: Provctl) -> None:
    begun = remote.folder / "begun"
    script = f'echo >> "{begun}"; sleep 600 & exec sleep 600'
    run_id = remote(
        "submit", workflow(remote, one={"command": ["sh", "-c", script]})
    ).last_word
    wait_until(begun.exists, "it runs")
    remote("cancel", run_id)
    remote("wait", run_id, code=11)
    assert not processes_with(f"{MARK}={run_id}/")


def test_what_no_node_has_is_refused_with_its_place_in_the_file(
    remote: Provctl,
) -> None:
    file = workflow(remote, one={"command": ["true"], "place": {"labels": ["eu"]}})
    refused = remote("validate", file, code=50)
    assert "w.json:1:" in refused.err
    assert "no node is as the task wants it" in refused.err
    remote("submit", file, code=50)
    library = {"name": "w", "library": "/lib", "tasks": {"a": {"script": "1"}}}
    file.write_text(json.dumps(library))
    assert "`library` of a workflow" in remote("submit", file, code=2).err


def test_nodes_are_shown_drained_and_resumed(remote: Provctl) -> None:
    assert remote("node", "list", "-o", "name").out.split() == list(NAMES)
    shown = remote("node", "show", "web1", "-o", "json").json()
    shown = shown[0] if isinstance(shown, list) else shown
    assert shown["problem"] is None
    assert shown["nu"].endswith("nu")
    remote("node", "drain", "web1")
    assert "drained" in remote("node", "list").out
    tasks = {
        f"t{n}": {"command": ["sh", "-c", "echo $PROVCTL_STATE_DIR"]} for n in range(6)
    }
    remote("run", workflow(remote, **tasks), "-q")
    said = remote("logs", "@last").out
    assert said.count(str(remote.folder / "web2")) == 6
    remote("node", "resume", "web1")
    assert "drained" not in remote("node", "list").out
    assert "web1, web2" in remote("doctor", code=None).out
    remote("node", "show", "web9", code=40)
