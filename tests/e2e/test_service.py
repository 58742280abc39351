"""The scheduler as a service: installed, run by a manager, killed, taken over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.tools import need
from tests.support.units import Manager

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def installed(provctl: Provctl) -> Path:
    said = provctl("scheduler", "install").err
    written = Path(said.splitlines()[0].partition("written: ")[2])
    assert written.is_file(), said
    return written


def a_manager(provctl: Provctl) -> Manager:
    return Manager(installed(provctl), provctl.environ, provctl.folder)


def test_install_prints_the_next_step_and_uninstall_removes_the_unit(
    provctl: Provctl,
) -> None:
    unit = installed(provctl)
    assert unit.parent == Path(provctl.environ["XDG_CONFIG_HOME"]) / "systemd/user"
    again = provctl("scheduler", "install").err
    assert "next:    systemctl --user enable --now provctl.service" in again
    assert "next:    loginctl enable-linger" in again
    assert provctl("scheduler", "install", "--print").out == unit.read_text()
    assert f"removed: {unit}" in provctl("scheduler", "uninstall").err
    assert not unit.exists()
    assert "nothing to remove" in provctl("scheduler", "uninstall").err


def test_foreign_unit_file_is_not_changed(provctl: Provctl) -> None:
    unit = installed(provctl)
    unit.write_text("[Unit]\nDescription=mine\n")
    assert "not written by" in provctl("scheduler", "install", code=41).err
    assert "not written by" in provctl("scheduler", "uninstall", code=41).err
    assert "mine" in unit.read_text()
    provctl("scheduler", "install", "--force")
    assert "KillMode=process" in unit.read_text()


def test_systemd_accepts_the_unit(provctl: Provctl, tmp_path: Path) -> None:
    need("systemd-analyze")
    odd = tmp_path / 'odd $HOME %n "state"'
    unit = installed(provctl)
    text = provctl("--state-dir", odd, "scheduler", "install", "--print").out
    unit.write_text(text)
    verify = ["systemd-analyze", "verify", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    # The control: it does look.
    unit.write_text(text.replace("KillMode=process", "KillMode=gently"))
    assert "gently" in subprocess.run(verify, capture_output=True, text=True).stderr


def test_tasks_survive_a_kill_and_a_restart_by_the_manager(provctl: Provctl) -> None:
    with a_manager(provctl) as manager:
        _kill_and_restart(provctl, manager)


def _kill_and_restart(provctl: Provctl, manager: Manager) -> None:
    assert "READY=1" in manager.start()
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    manager.kill()
    assert provctl.task(run, "a")["reason"] == "still running, but orphaned"
    manager.start()
    provctl.until(lambda: provctl.status(run)["owned"], "it has an owner again")
    assert manager.stop() == 0
    assert manager.until("STOPPING=1")
    assert provctl.task(run, "a")["reason"] == "still running, but orphaned"
    manager.start()
    provctl("cancel", run)
    provctl("wait", run, code=11)
    assert provctl.task(run, "a")["attempts"] == 1
    log = provctl("scheduler", "logs").out
    assert log.count("started, version") == 3
    assert manager.stop() == 0


def test_service_takes_over_from_a_running_scheduler(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    (before,) = provctl.schedulers()
    with a_manager(provctl) as manager:
        _take_over(provctl, run, before, manager)


def _take_over(provctl: Provctl, run: str, before: int, manager: Manager) -> None:
    manager.start()
    assert manager.process is not None
    assert provctl.schedulers() == [manager.process.pid] != [before]
    # And who is started by a command does not take over from it.
    provctl("scheduler", "start")
    assert provctl.schedulers() == [manager.process.pid]
    provctl("cancel", run)
    provctl("wait", run, code=11)
    assert provctl.task(run, "a")["attempts"] == 1
    assert manager.stop() == 0


def test_restart_asks_the_service_manager(provctl: Provctl) -> None:
    tools = provctl.folder / "bin"
    tools.mkdir()
    systemctl = tools / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@" > "$0.asked"\n')
    systemctl.chmod(0o755)
    path = {"PATH": f"{tools}:{provctl.environ['PATH']}"}
    with a_manager(provctl) as manager:
        manager.start()
        said = provctl("scheduler", "restart", env=path).err
        assert manager.stop() == 0
    assert "by its service manager" in said
    asked = (tools / "systemctl.asked").read_text()
    assert asked == "--user restart provctl.service\n"


def test_serve_runs_in_the_foreground_of_a_terminal(provctl: Provctl) -> None:
    server = provctl.start("scheduler", "serve")
    provctl.wait_for_text(provctl.state / "scheduler" / "log", "started")
    run = provctl("workflow", "submit", provctl.file({"a": {"command": ["true"]}}))
    provctl("wait", run.last_word)
    assert provctl.schedulers() == [server.pid]
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "started, version" in err.decode()
    assert err.decode().endswith("stopped\n")


def test_serve_works_with_a_dead_notify_socket(provctl: Provctl) -> None:
    gone = provctl.folder / "gone"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(gone))
    server = provctl.start("scheduler", "serve", env={"NOTIFY_SOCKET": str(gone)})
    provctl.wait_for_text(provctl.state / "scheduler" / "log", "started")
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait(60) == 0
    server.communicate()
