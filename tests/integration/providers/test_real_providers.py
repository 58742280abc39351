"""The providers of the examples against AWS (moto) and an API like that of UpCloud."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List

import pytest

from tests.support.attempts import running
from tests.support.installed import ROOT
from tests.support.upcloud import PASSWORD, USER, UpCloud

if TYPE_CHECKING:
    from tests.support.installed import Provctl
    from tests.support.moto import Aws

EXAMPLE = ROOT / "examples" / "two-providers.ncl"
LIBRARY = ROOT / "examples" / "provisioning"


@pytest.fixture
def clouds(provctl: Provctl, aws: Aws, upcloud: UpCloud) -> Provctl:
    """The command, with accounts at both providers in its environment."""
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{provctl.environ['PATH']}"
    secrets = {"UPCLOUD_USERNAME": USER, "UPCLOUD_PASSWORD": PASSWORD}
    keys = {k: v for k, v in aws.environ.items() if "KEY" in k}
    provctl.environ.update({"PATH": path, **keys, **secrets})
    return provctl


def at(aws: Aws, upcloud: UpCloud, **more: object) -> List[str]:
    """The parameters that refer to the accounts of this test."""
    given = {"aws_endpoint": aws.url, "upcloud_api": upcloud.url, **more}
    return [word for k, v in given.items() for word in ("-p", f"{k}={v}")]


def test_deployment_on_both_providers_is_created_and_rolled_back(
    clouds: Provctl, aws: Aws, upcloud: UpCloud
) -> None:
    clouds("run", EXAMPLE, *at(aws, upcloud), within_s=300)
    # They really exist, says whoever else is asked.
    assert "web-aws-1" in aws.running()
    assert upcloud.names() == ["web-upcloud-1"]
    check = clouds("workflow", "outputs", "@last", "check").json()
    assert len(check) == 2
    assert check[1] == "94.0.0.10"
    clouds("workflow", "rollback", "@last", "--yes")
    clouds("wait", "@last", within_s=300, code=14)
    assert "web-aws-1" not in aws.running()
    assert upcloud.names() == []


def test_failed_deployment_is_rolled_back_on_both_providers(
    clouds: Provctl, aws: Aws, upcloud: UpCloud
) -> None:
    before = len(aws.instances())
    clouds("run", EXAMPLE, *at(aws, upcloud, fail="true"), code=14, within_s=300)
    made = aws.instances()[before:]
    assert [each["state"] for each in made] == ["terminated"]
    assert upcloud.names() == []
    assert any(asked.startswith("POST /1.3/server/") for asked in upcloud.asked)


def test_credentials_are_not_stored(
    clouds: Provctl, aws: Aws, upcloud: UpCloud
) -> None:
    clouds("run", EXAMPLE, *at(aws, upcloud, fail="true"), code=14, within_s=300)
    for file in clouds.state.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for secret in (PASSWORD, aws.environ["AWS_SECRET_ACCESS_KEY"]):
                assert secret.encode() not in content, file


def test_interrupted_attempt_creates_no_second_instance(
    clouds: Provctl, aws: Aws, upcloud: UpCloud
) -> None:
    """The attempt is killed between the request and its response, and retried."""
    before = len(aws.instances())
    retry = {"attempts": 2, "on": ["signal"]}
    call = {
        "module": "servers/create.nu",
        "command": "create-server",
        "args": ["cut-short"],
        "flags": {"provider": "aws"},
    }
    secrets = {name: f"env:{name}" for name in aws.environ if "KEY" in name}
    env = {k: v for k, v in aws.environ.items() if "KEY" not in k}
    task = {"call": call, "retry": retry, "secrets": secrets, "env": env}
    file = clouds.file({"a": task}, library=str(LIBRARY))
    run = clouds.submit(file)
    clouds.wait_for_text(clouds.log(run), "is starting")
    (main,) = running(_is_nu, clouds.processes())
    os.kill(main, signal.SIGKILL)
    clouds("wait", run)
    assert clouds.task(run, "a")["attempts"] == 2
    assert len(aws.instances()) == before + 1
    assert "was there already" in clouds("logs", run, "a").out


def _is_nu(words: List[str]) -> bool:
    return Path("".join(words[:1])).name == "nu" and "create-server" in " ".join(words)


def test_refusal_shows_the_message_of_the_provider(
    clouds: Provctl, aws: Aws, upcloud: UpCloud
) -> None:
    clouds.environ["UPCLOUD_PASSWORD"] = "wrong"
    params = at(aws, upcloud)
    # Whether it was made cannot be asked either, so the account says what may be there.
    done = clouds("run", EXAMPLE, *params, code=15, within_s=300)
    assert "may remain: upcloud-1" in done.out
    log = clouds("logs", "@last", "upcloud-1").out
    assert "Authentication failed" in log
    assert "AUTHENTICATION_FAILED" in log
    assert "web-aws-1" not in aws.running()
