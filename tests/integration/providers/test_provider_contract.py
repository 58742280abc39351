"""The contract of each provider of the library, called as tasks call it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple

import pytest

from provctl.core.model.workflow import NushellCall as Wish
from tests.support.library import Failed, called
from tests.support.upcloud import PASSWORD, USER, UpCloud

if TYPE_CHECKING:
    from typing import List

    from tests.support.moto import Aws

Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, aws: Aws, upcloud: UpCloud) -> Call:
    """Call VERB-server of the library for a provider; return its value."""
    programs = Path(sys.executable).parent
    environ = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        **aws.environ,
        "UPCLOUD_API": upcloud.url,
        "UPCLOUD_USERNAME": USER,
        "UPCLOUD_PASSWORD": PASSWORD,
    }

    def call(verb: str, *args: str, key: str = "", **flags: Any) -> Any:
        more: Dict[str, str] = {"PROVCTL_IDEMPOTENCY_KEY": key} if key else {}
        command = "list-servers" if verb == "list" else f"{verb}-server"
        wish = Wish(f"servers/{verb}.nu", command, args, flags)
        returned, _ = called(wish, {**environ, **more}, tmp_path / "output")
        return returned

    return call


BOTH = pytest.mark.parametrize("provider", ["aws", "upcloud"])


@BOTH
def test_created_server_is_listed_and_shown_until_it_is_deleted(
    call: Call, provider: str
) -> None:
    name = f"all-{provider}"
    made = call("create", name, provider=provider, key="run/all")
    assert call("create", name, provider=provider, key="run/all") == made
    assert name in _names(call, provider)
    assert call("show", name, provider=provider) == made
    assert call("delete", name, provider=provider)["deleted"] is True
    assert call("delete", name, provider=provider)["deleted"] is False
    assert name not in _names(call, provider)
    with pytest.raises(Failed, match=f"{provider} has no server {name}"):
        call("show", name, provider=provider)


@BOTH
def test_same_name_is_refused_except_for_the_task_that_created_it(
    call: Call, provider: str
) -> None:
    name, plans = f"same-{provider}", _plans(provider)
    made = call("create", name, provider=provider, plan=plans[0], key="run/one")
    with pytest.raises(Failed, match="exists with another zone or plan"):
        call("create", name, provider=provider, plan=plans[1], key="run/two")
    again = call("create", name, provider=provider, plan=plans[1], key="run/one")
    assert again == made


@BOTH
def test_task_can_create_its_server_again_after_a_rollback(
    call: Call, provider: str
) -> None:
    """The key of a task stays the same when its run is retried after a rollback."""
    name = f"again-{provider}"
    first = call("create", name, provider=provider, key="run/again")
    call("delete", name, provider=provider)
    second = call("create", name, provider=provider, key="run/again")
    assert second["status"] == "running"
    assert second["id"] != first["id"]


def test_each_request_has_the_token_of_its_server(call: Call, aws: Aws) -> None:
    """EC2 refuses the token of a terminated instance; moto only stores it."""
    for _ in range(2):
        call("create", "token", provider="aws", key="run/token")
        call("create", "token", provider="aws", key="run/token")
        call("delete", "token", provider="aws")
    tokens = [each["token"] for each in aws.instances() if each["Name"] == "token"]
    assert len(set(tokens)) == len(tokens) == 2
    assert all(0 < len(token) <= 64 for token in tokens)


@BOTH
@pytest.mark.parametrize("pattern", ["*", "star-???*"])
def test_name_is_never_a_pattern(call: Call, provider: str, pattern: str) -> None:
    name = f"star-{provider}"
    call("create", name, provider=provider)
    assert call("delete", pattern, provider=provider)["deleted"] is False
    assert name in _names(call, provider)
    assert call("delete", name, provider=provider)["deleted"] is True


def test_server_that_is_being_created_is_deleted_later(
    call: Call, upcloud: UpCloud
) -> None:
    upcloud.answer("POST", "/1.3/server", {"server": _WISH})
    assert call("delete", "early", provider="upcloud")["deleted"] is True
    assert upcloud.names() == []


def test_unknown_provider_is_reported(call: Call) -> None:
    with pytest.raises(Failed, match="unknown provider gcp"):
        call("list", provider="gcp")


_WISH = {
    "zone": "es-mad1",
    "title": "early",
    "hostname": "early",
    "storage_devices": {"storage_device": [{"action": "clone"}]},
}


def _names(call: Call, provider: str) -> List[str]:
    return [server["name"] for server in call("list", provider=provider)]


def _plans(provider: str) -> Tuple[str, str]:
    if provider == "aws":
        return "t3.micro", "t3.large"
    return "1xCPU-1GB", "2xCPU-4GB"
