"""Commands of a Nushell library, queued through the API as runs of one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api import Api

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_MODULE = """
# Create a server.
export def create-server [
    infra: string       # its name
    --zone: string = "es-mad1"
    --disk-gb: int = 10
    --wait
] {
    { name: $infra, zone: $zone, disk: $disk_gb, wait: $wait }
}
"""


@pytest.fixture
def api(provctl: Provctl) -> Api:
    library = provctl.folder / "lib" / "servers"
    library.mkdir(parents=True)
    (library / "create.nu").write_text(_MODULE)
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(library.parent)
    provctl("scheduler", "start")
    return Api(provctl.state)


def test_library_command_becomes_a_run_of_one_task(provctl: Provctl, api: Api) -> None:
    body = {
        "type": "server_create",
        "infra": "wuji; rm -rf /",
        "settings": "prod-settings.k",
        "wait": True,
        "params": {"disk_gb": 40, "zone": "$HOME"},
        "labels": {"env": "test"},
    }
    answer = api.post("/workflows/servers/create", body)
    assert answer.status == 202, answer.body
    run = answer.json()["workflow_id"]
    provctl("wait", run)
    assert api.get(f"/workflows/{run}").data["labels"] == {"env": "test"}
    task = api.get(f"/tasks/{run}").data
    assert task["name"] == "create-server"
    assert task["status"] == "Completed"
    assert task["output"] == {
        "name": "wuji; rm -rf /",
        "zone": "$HOME",
        "disk": 40,
        "wait": True,
    }


def test_same_key_makes_two_calls_one_run(provctl: Provctl, api: Api) -> None:
    first = api.post(
        "/workflows/servers/create", {"infra": "a"}, **{"Idempotency-Key": "k"}
    )
    again = api.post(
        "/workflows/server/create", {"infra": "a"}, **{"Idempotency-Key": "k"}
    )
    assert first.data == again.data
    other = api.post(
        "/workflows/servers/create", {"infra": "b"}, **{"Idempotency-Key": "k"}
    )
    assert (other.status, other.json()["code"]) == (409, 42)
    provctl("wait", first.data)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"infra": "a", "params": {"disk_gb": "much"}}, 400),
        ({"infra": "a", "params": {"unknown": 1}}, 400),
        ({"infra": 5}, 422),
        ({"infra": "a", "other": 1}, 422),
        ({"infra": "a", "params": []}, 422),
    ],
)
def test_arguments_that_do_not_match_the_signature_are_refused(
    provctl: Provctl, api: Api, body: object, status: int
) -> None:
    answer = api.post("/workflows/servers/create", body)
    assert answer.status == status, answer.body
    assert provctl.runs() == []


def test_unknown_library_command_gets_404(api: Api) -> None:
    answer = api.post("/workflows/clouds/create", {})
    assert (answer.status, answer.json()["code"]) == (404, 40)
