"""The provisioning library of the examples, with real Nushell and real files."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, List

import pytest

from provctl.core.model.workflow import NushellCall
from provctl.nushell.library.scan import check_call, module_needs_std
from provctl.nushell.progress_lines import parse_progress
from tests.support.library import LIBRARY, Failed, called

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = [
    ("servers/create.nu", "create-server"),
    ("servers/list.nu", "list-servers"),
    ("servers/delete.nu", "delete-server"),
    ("taskservs/create.nu", "create-taskserv"),
    ("taskservs/list.nu", "list-taskservs"),
    ("taskservs/delete.nu", "delete-taskserv"),
    ("clusters/create.nu", "create-cluster"),
    ("clusters/list.nu", "list-clusters"),
    ("clusters/delete.nu", "delete-cluster"),
]
MODULES = {command: module for module, command in COMMANDS}


class Provisioning:
    """Calls the library as tasks do, with its own state and without delays."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.log: List[str] = []  # of the latest call that succeeded
        self._folder = folder
        self._numbers = itertools.count()

    def __call__(self, command: str, *args: Any, key: str = "", **flags: Any) -> Any:
        env = {
            "PATH": os.environ["PATH"],
            "PROVISIONING_STATE": str(self.state),
            "PROVISIONING_SPEED": "0",
            **({"PROVCTL_IDEMPOTENCY_KEY": key} if key else {}),
        }
        call = NushellCall(MODULES[command], command, tuple(args), flags)
        output = self._folder / f"{next(self._numbers)}.out"
        returned, log = called(call, env, output)
        self.log = log.splitlines()
        return returned

    def files(self) -> List[str]:
        return sorted(
            str(file.relative_to(self.state))
            for file in self.state.rglob("*")
            if file.is_file()
        )


@pytest.fixture
def provisioning(tmp_path: Path) -> Provisioning:
    return Provisioning(tmp_path)


def in_parallel(*calls: Callable[[], Any]) -> List[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


@pytest.mark.parametrize(("module", "command"), COMMANDS)
def test_each_command_exists_and_needs_no_standard_library(
    module: str, command: str
) -> None:
    assert check_call(LIBRARY, module, command) is None
    assert not module_needs_std(LIBRARY, module)


def test_servers_created_in_parallel_are_listed(
    provisioning: Provisioning,
) -> None:
    names = [f"web-{number}" for number in range(1, 6)]
    created = in_parallel(*(partial(provisioning, "create-server", n) for n in names))
    listed = provisioning("list-servers")
    assert [server["name"] for server in listed] == names
    assert {server["ip"] for server in listed} == {f"10.0.0.{n}" for n in range(10, 15)}
    assert [server["ip"] for server in created] == [server["ip"] for server in listed]
    assert {server["status"] for server in listed} == {"running"}


def test_parallel_creation_of_one_server_makes_one_server(
    provisioning: Provisioning,
) -> None:
    created = in_parallel(*[partial(provisioning, "create-server", "web-1")] * 6)
    assert len({server["ip"] for server in created}) == 1
    assert len(provisioning("list-servers")) == 1
    address = created[0]["ip"]
    assert provisioning.files() == [f"addresses/{address}.json", "servers/web-1.json"]


def test_repeated_creation_returns_the_same_server(provisioning: Provisioning) -> None:
    first = provisioning("create-server", "web-1", zone="fi-hel1")
    assert provisioning("create-server", "web-1", zone="fi-hel1") == first
    assert provisioning.log == ["PROGRESS: 100% web-1 was there already"]


def test_different_server_with_the_same_name_is_refused(
    provisioning: Provisioning,
) -> None:
    provisioning("create-server", "web-1", key="run-1/server")
    with pytest.raises(Failed, match="exists with another zone or plan"):
        provisioning("create-server", "web-1", zone="fi-hel1", key="run-2/server")
    with pytest.raises(Failed, match="exists with another zone or plan"):
        provisioning("create-server", "web-1", plan="8xCPU-32GB")
    assert [server["zone"] for server in provisioning("list-servers")] == ["es-mad1"]


def test_next_attempt_of_a_task_gets_the_existing_server(
    provisioning: Provisioning,
) -> None:
    first = provisioning("create-server", "web-1", key="run-1/server")
    again = provisioning("create-server", "web-1", plan="large", key="run-1/server")
    assert again == first


def test_interrupted_creation_keeps_its_address(
    provisioning: Provisioning,
) -> None:
    provisioning("create-server", "web-1")
    provisioning("create-server", "web-2")
    (provisioning.state / "servers/web-1.json").unlink()
    assert provisioning("create-server", "web-1")["ip"] == "10.0.0.10"


def test_deleted_server_is_removed_and_its_address_is_free(
    provisioning: Provisioning,
) -> None:
    for name in ("web-1", "web-2"):
        provisioning("create-server", name)
    assert provisioning("delete-server", "web-1") == {"name": "web-1", "deleted": True}
    assert provisioning("delete-server", "web-1")["deleted"] is False
    assert [server["name"] for server in provisioning("list-servers")] == ["web-2"]
    assert provisioning("create-server", "web-3")["ip"] == "10.0.0.10"


def test_servers_are_listed_by_zone(provisioning: Provisioning) -> None:
    provisioning("create-server", "web-1")
    provisioning("create-server", "web-2", zone="fi-hel1")
    listed = provisioning("list-servers", zone="fi-hel1")
    assert [server["name"] for server in listed] == ["web-2"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", "a/b", "A", "a b", "x" * 64])
def test_name_is_never_used_as_a_path(provisioning: Provisioning, name: str) -> None:
    with pytest.raises(Failed, match="cannot be a name"):
        provisioning("create-server", name)
    assert not provisioning.state.exists() or provisioning.files() == []


def test_kubernetes_and_applications_are_created_and_deleted(
    provisioning: Provisioning,
) -> None:
    addresses = [provisioning("create-server", f"web-{n}")["ip"] for n in (1, 2)]
    kubernetes = provisioning("create-taskserv", "kubernetes", addresses)
    assert kubernetes["nodes"] == addresses
    assert provisioning("list-taskservs") == [kubernetes]
    endpoint, apps = kubernetes["endpoint"], ["web", "api"]
    shop = provisioning("create-cluster", "shop", endpoint=endpoint, apps=apps)
    assert [app["name"] for app in shop["apps"]] == apps
    assert provisioning("list-clusters") == [shop]
    assert provisioning("delete-cluster", "shop")["deleted"] is True
    assert provisioning("list-clusters") == []
    assert provisioning("delete-taskserv", "kubernetes")["deleted"] is True
    assert provisioning("delete-taskserv", "kubernetes")["deleted"] is False
    assert provisioning("list-taskservs") == []


def test_missing_prerequisites_are_reported(provisioning: Provisioning) -> None:
    with pytest.raises(Failed, match=r"there is none at: 10\.9\.9\.9"):
        provisioning("create-taskserv", "kubernetes", ["10.9.9.9"])
    with pytest.raises(Failed, match="no Kubernetes answers at https://nowhere"):
        provisioning("create-cluster", "shop", endpoint="https://nowhere")


def test_progress_only_increases_and_ends_at_100(provisioning: Provisioning) -> None:
    address = provisioning("create-server", "web-1")["ip"]
    logs = [provisioning.log]
    endpoint = provisioning("create-taskserv", "kubernetes", [address])["endpoint"]
    logs.append(provisioning.log)
    provisioning("create-cluster", "shop", endpoint=endpoint, apps=["web", "api"])
    logs.append(provisioning.log)
    for log in logs:
        reports = [parse_progress(line) for line in log]
        percents = [report.percent or 0 for report in reports if report]
        assert len(percents) == len(log) >= 2
        assert percents == sorted(percents)
        assert percents[-1] == 100
