"""Which ports the scheduler opens, when, and what it reports about them."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from socket import create_server
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.api import Api, free_port
from tests.support.installed import PROGRAM
from tests.support.nushell import outside
from tests.support.tools import need_localhost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

ORCHESTRATOR = PROGRAM.with_name("provisioning-orchestrator")


def configure(provctl: Provctl, text: str) -> Path:
    """Write the configuration that all commands use."""
    path = provctl.text("ports.toml", text)
    provctl.environ["PROVCTL_CONFIG"] = str(path)
    return path


def endpoint(port: int) -> str:
    return f'orchestrator.endpoint = "http://localhost:{port}"\n'


def healthy(provctl: Provctl, port: int) -> bool:
    return bool(Api(provctl.state, port).get("/health").status == 200)


def orchestrator(provctl: Provctl, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ORCHESTRATOR), *map(str, words)],
        env=provctl.environ,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def listening(provctl: Provctl) -> List[str]:
    status = provctl("scheduler", "status", "-o", "json").json()
    return [each for each in status["api"] if each.startswith("http")]


def checked(provctl: Provctl) -> Dict[str, Any]:
    """What doctor reports about the API."""
    rows = provctl("doctor", "-o", "json", code=None).json()
    (row,) = [row for row in rows if row["check"] == "api"]
    return dict(row)


def test_scheduler_listens_at_a_local_endpoint(provctl: Provctl) -> None:
    need_localhost()
    port = free_port()
    configure(provctl, endpoint(port))
    script = f"http get http://localhost:{port}/tasks | get success"
    run = provctl.submit(provctl.file({"t": {"script": script}}))
    provctl("wait", run)
    assert provctl("workflow", "outputs", run).json() == {"t": True}
    assert healthy(provctl, port)
    assert checked(provctl)["detail"] == f"the API is available at 127.0.0.1:{port}"


def test_remote_endpoint_opens_no_port(provctl: Provctl) -> None:
    configure(provctl, 'orchestrator.endpoint = "https://localhost:9090"\n')
    provctl("scheduler", "start")
    assert listening(provctl) == []


def test_two_different_ports_are_opened_with_a_warning(provctl: Provctl) -> None:
    one, two = free_port(), free_port()
    file = configure(provctl, f"server.port = {two}\n{endpoint(one)}")
    told = f"orchestrator.endpoint has port {one}, but server.port is {two}: both set the port of the API; use the same port, or remove one"
    assert provctl("config", "check").err == f"{told}\n"
    assert provctl("config", "check", file).err == f"{told}\n"
    assert checked(provctl)["advice"] == told
    assert told in provctl("scheduler", "start").err.splitlines()
    assert told in provctl("scheduler", "start").err.splitlines()
    assert healthy(provctl, one)
    assert healthy(provctl, two)
    found = checked(provctl)
    assert (
        found["detail"] == f"the API is available at 127.0.0.1:{one}, 127.0.0.1:{two}"
    )
    assert found["advice"] == told
    provctl("scheduler", "stop")
    run = provctl("workflow", "submit", provctl.file({"t": {"command": ["true"]}}))
    assert told in run.err.splitlines()


def test_same_port_in_two_settings_is_accepted(provctl: Provctl) -> None:
    port = free_port()
    configure(provctl, f"server.port = {port}\n{endpoint(port)}")
    assert provctl("config", "check").err == ""
    assert len(provctl("scheduler", "start").err.splitlines()) == 1
    assert listening(provctl) == [f"http://127.0.0.1:{port}"]
    assert checked(provctl)["advice"] is None


def test_used_port_is_reported_at_start(provctl: Provctl) -> None:
    with closing(create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        configure(provctl, endpoint(port))
        told = f"API: 127.0.0.1:{port}: Address already in use"
        assert told in provctl("scheduler", "start").err
        assert told in provctl("scheduler", "start").err
        assert checked(provctl)["ok"] is False


def test_doctor_reports_a_scheduler_that_does_not_listen(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    configure(provctl, endpoint(free_port()))
    found = checked(provctl)
    assert "does not listen there" in found["detail"]
    assert found["advice"].startswith("provctl scheduler restart")
    provctl("scheduler", "restart")
    assert checked(provctl)["advice"] is None


def test_running_scheduler_opens_a_requested_port(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    before = provctl.task(run, "a")
    assert listening(provctl) == []
    port = free_port()
    done = orchestrator(provctl, "--daemon", "--port", port)
    assert done.returncode == 0, done.stderr
    assert listening(provctl) == [f"http://127.0.0.1:{port}"]
    assert provctl.task(run, "a")["attempts"] == before["attempts"], "it went on"
    # It is open; nothing is to be done, and another one is refused.
    (scheduler,) = provctl.schedulers()
    assert orchestrator(provctl, "--daemon", "--port", port).returncode == 0
    assert orchestrator(provctl, "--daemon").returncode == 0
    done = orchestrator(provctl, "--daemon", "--port", port + 1)
    assert done.returncode == 41
    said = f"the scheduler already listens on port {port}, not on {port + 1}"
    assert said in done.stderr
    assert provctl.schedulers() == [scheduler]
    provctl("cancel", run, "--wait", code=None)


def test_port_that_cannot_be_opened_is_an_error(provctl: Provctl) -> None:
    with closing(create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        done = orchestrator(provctl, "--daemon", "--port", port)
        assert done.returncode == 32
        assert "Address already in use" in done.stderr
        assert f"does not listen on port {port}" in done.stderr


def test_library_command_finds_a_port_opened_later(provctl: Provctl) -> None:
    need_localhost()
    port = free_port()
    assert orchestrator(provctl, "--daemon", "--port", port).returncode == 0
    folder = provctl.folder / "library" / "things"
    folder.mkdir(parents=True)
    folder.joinpath("ask.nu").write_text(
        f"export def main [] {{ http get http://localhost:{port}/tasks | get success }}"
    )
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(folder.parent)
    assert provctl("thing", "ask", "-o", "json").json() is True


@pytest.mark.parametrize("shell", ["sh", "nu"])
def test_env_prints_all_variables_that_http_nu_needs(
    provctl: Provctl, shell: str
) -> None:
    need_localhost()
    port = free_port()
    assert orchestrator(provctl, "--daemon", "--port", port).returncode == 0
    told = provctl("env", "--for", shell, env={"PROVISIONING_X": "it's; $(x)"}).out
    token = (provctl.state / "scheduler" / "token").read_text().strip()
    assert token not in told
    url = f"http://localhost:{port}"
    text = f"""
        use provctl/http.nu *
        let made = http post {url}/workflows/servers/create {{infra: a, params: {{}}}} --allow-errors
        {{health: (http get {url}/health).status, tasks: (http get {url}/tasks).success
          made: $made.error?, x: $env.PROVISIONING_X}} | to json --raw
    """
    if shell == "sh":
        done = subprocess.run(
            ["sh", "-c", f'{told}\nexec nu -n -c "$0"', text],
            env={name: provctl.environ[name] for name in ("HOME", "PATH")},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
    else:
        # As at a prompt: what is loaded counts for the lines after it.
        assert isinstance(json.loads(told)["NU_LIB_DIRS"], list)
        provctl.text("loaded.json", told)
        lines = json.loads(told)
        done = outside(
            provctl,
            f"open {provctl.folder}/loaded.json | load-env\n{text}",
            env={"NU_LIB_DIRS": ":".join(lines["NU_LIB_DIRS"])},
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["health"], said["tasks"]) == ("healthy", True)
    assert "token" not in (said["made"] or "")
    assert said["x"] == "it's; $(x)"
