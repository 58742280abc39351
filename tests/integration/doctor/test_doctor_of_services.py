"""`provctl doctor` about the API's port and token, service units and the library."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Dict

from tests.support.api import free_port

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def checked(provctl: Provctl, **how: Any) -> Dict[str, Dict[str, Any]]:
    said = provctl("doctor", "-o", "json", **how).out
    return {record["check"]: record for record in json.loads(said)}


def test_used_port_of_the_api_is_reported(provctl: Provctl) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {"PROVCTL_SERVER_PORT": str(port)}
        found = checked(provctl, env=env, code=32)["api"]
        assert not found["ok"]
        assert f"127.0.0.1:{port}" in found["detail"]
        assert "another port" in found["advice"]
    assert "is free" in checked(provctl, env=env)["api"]["detail"]
    assert "no port is set" in checked(provctl)["api"]["detail"]


def test_port_of_our_scheduler_is_accepted(provctl: Provctl) -> None:
    port = free_port()
    env = {"PROVCTL_SERVER_PORT": str(port)}
    provctl("scheduler", "start", env=env)
    found = checked(provctl, env=env)["api"]
    assert found["detail"] == f"the API is available at 127.0.0.1:{port}"


def test_missing_plugins_are_reported(provctl: Provctl) -> None:
    config = provctl.text("c.toml", '[nushell]\nplugins = ["/no/plugin"]\n')
    found = checked(provctl, env={"PROVCTL_CONFIG": str(config)}, code=52)["plugins"]
    assert "/no/plugin" in found["detail"]
    assert checked(provctl)["plugins"]["detail"] == "none"


def test_token_that_others_can_read_is_reported(provctl: Provctl) -> None:
    token = provctl.state / "scheduler" / "token"
    token.parent.mkdir(parents=True, mode=0o700)
    provctl.state.chmod(0o700)
    token.write_text("0" * 64)
    token.chmod(0o644)
    found = checked(provctl, code=32)["token"]
    assert "other users can read" in found["detail"]
    assert f"rm {token}" in found["advice"]
    token.chmod(0o600)
    assert checked(provctl)["token"]["ok"]


def test_service_unit_without_its_program_is_reported(provctl: Provctl) -> None:
    provctl("scheduler", "install")
    assert checked(provctl)["service"]["detail"].endswith("provctl.service")
    unit = provctl("scheduler", "install", "--print").out
    (program,) = [
        line.split('"')[1] for line in unit.splitlines() if line.startswith("ExecStart")
    ]
    path = checked(provctl)["service"]["detail"]
    broken = unit.replace(program, program + ".gone")
    provctl.text(path, broken)
    found = checked(provctl, code=32)["service"]
    assert "no longer exists" in found["detail"]
    assert "--force" in found["advice"]


def test_incompatible_library_is_reported(provctl: Provctl) -> None:
    library = provctl.folder / "library"
    library.mkdir()
    env = {"PROVCTL_NUSHELL_PROVISIONING_LIB": str(library)}
    versions = library / "versions.toml"
    versions.write_text(
        'version = "1.2"\n[compatibility.core."1.2"]\nplatform = "^9"\n'
    )
    found = checked(provctl, env=env, code=52)["library"]
    assert "needs platform ^9" in found["detail"]
    # And nothing of it is run.
    file = provctl.file({"a": {"script": "1"}})
    assert "needs platform ^9" in provctl("run", file, env=env, code=52).err
    assert provctl.runs() == []
    versions.write_text(versions.read_text().replace("^9", "^2.5"))
    assert "(version 1.2)" in checked(provctl, env=env)["library"]["detail"]
    provctl("run", file, env=env)
