"""Nushell modules from the platform's documentation work unchanged.

`tests/support/platform` contains them as published. Only the placeholders `{ ... }`
are filled in, and the port is a free one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import pytest

from tests.support.api import start_api
from tests.support.nushell import outside
from tests.support.tools import need_localhost

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.support.installed import Provctl

PAGES = Path(__file__).parents[1] / "support" / "platform"

CREATE = """
export def create-server [infra: string, --zone: string] { {name: $infra, zone: $zone} }
"""


@pytest.fixture
def library(provctl: Provctl) -> Path:
    folder = provctl.folder / "lib"
    (folder / "servers").mkdir(parents=True)
    (folder / "servers" / "create.nu").write_text(CREATE)
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(folder)
    return folder


@pytest.fixture
def api(provctl: Provctl, library: Path) -> Api:
    """The scheduler on a port that the modules in the library call by localhost."""
    need_localhost()
    api = start_api(provctl)
    for page in PAGES.glob("*.nu"):
        text = page.read_text(encoding="utf-8").replace("9090", str(api.port))
        (library / page.name).write_text(text, encoding="utf-8")
    return api


def by_hand(provctl: Provctl, api: Api) -> Dict[str, str]:
    """The environment of a user who has the token."""
    return {
        "PROVCTL_ENDPOINT": f"http://127.0.0.1:{api.port}",
        "PROVCTL_TOKEN": (provctl.state / "scheduler" / "token").read_text().strip(),
    }


def test_health_check_works_at_a_terminal(
    provctl: Provctl, api: Api, library: Path
) -> None:
    done = outside(
        provctl, f"use {library}/health.nu; (health check-orchestrator-health).status"
    )
    assert done.stdout.strip() == "healthy", done.stderr


def test_server_workflow_can_be_submitted_from_a_terminal(
    provctl: Provctl, api: Api, library: Path
) -> None:
    text = f"""
        use provctl/http.nu *
        use {library}/server_create.nu *
        (server_create_workflow wuji --orchestrated).workflow_id
    """
    done = outside(provctl, text, env=by_hand(provctl, api))
    run = done.stdout.strip()
    assert run in provctl.runs(), done.stderr
    provctl("wait", run)
    (output,) = provctl("workflow", "outputs", run).json().values()
    assert output == {"name": "wuji", "zone": "es-mad1"}
    # Without the token it is not let in, so the wrapper is what carries it.
    wrong = {**by_hand(provctl, api), "PROVCTL_TOKEN": "wrong"}
    assert "401" in outside(provctl, text, env=wrong).stderr


def test_token_is_sent_to_the_endpoint_only(
    provctl: Provctl, api: Api, library: Path
) -> None:
    told = {**by_hand(provctl, api), "PROVCTL_ENDPOINT": "http://127.0.0.1:1"}
    text = f"use provctl/http.nu *; http get http://localhost:{api.port}/tasks"
    assert "401" in outside(provctl, text, env=told).stderr
    told["PROVCTL_ENDPOINT"] = f"http://localhost:{api.port}"
    assert outside(provctl, text, env=told).returncode == 0


@pytest.mark.parametrize(
    "work",
    [
        {"call": {"module": "work.nu", "command": "ask"}},
        {"script": "use work.nu; work ask"},
    ],
    ids=["by a module", "by a script"],
)
def test_task_can_check_health_and_report_progress(
    provctl: Provctl, api: Api, work: Dict[str, Any]
) -> None:
    (Path(provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"]) / "work.nu").write_text(
        """
        use health.nu *
        export def ask [] {
            let health = (check-orchestrator-health)
            report-progress $env.PROVCTL_TASK_ID 40
            report-progress $env.PROVCTL_TASK_ID 70
            $health.status
        }
        """
    )
    run = provctl.submit(provctl.file({"deep": {"workflow": nested(work)}}))
    provctl("wait", run)
    outputs = provctl("workflow", "outputs", run).json()
    assert outputs["deep/t"] == "healthy"
    said = [record["percent"] for record in provctl.journal(run) if "percent" in record]
    assert said[-1] == 70


def nested(work: Dict[str, Any]) -> Dict[str, Any]:
    return {"name": "inner", "tasks": {"t": work}}


def test_task_without_an_endpoint_uses_the_original_http_commands(
    provctl: Provctl, library: Path
) -> None:
    script = "try { http get http://localhost:1/health } catch {|err| $err.msg }"
    provctl("run", provctl.file({"t": {"script": script}}))
    assert provctl("workflow", "outputs", "@last").json()["t"] != ""


def test_ensure_orchestrator_starts_the_scheduler(
    provctl: Provctl, api: Api, library: Path
) -> None:
    provctl("scheduler", "stop")
    text = f"""
        use provctl.nu load-config
        use {library}/client.nu *
        let before = (orchestrator-available)
        ensure-orchestrator
        {{before: $before, after: (orchestrator-available)}} | to json --raw
    """
    done = outside(provctl, text)
    assert done.stdout.splitlines() == [
        "Starting orchestrator...",
        '{"before":false,"after":true}',
    ], done.stderr


def test_task_can_call_ensure_orchestrator(provctl: Provctl, api: Api) -> None:
    script = "use client.nu *; ensure-orchestrator; orchestrator-available"
    run = provctl.submit(provctl.file({"t": {"script": script}}))
    provctl("wait", run)
    assert provctl("workflow", "outputs", run).json() == {"t": True}


def test_shipped_functions_use_the_socket_without_a_port(
    provctl: Provctl, library: Path
) -> None:
    provctl("scheduler", "start")
    text = """
        use provctl.nu
        provctl ensure-orchestrator
        (provctl check-orchestrator-health).status | print
        (provctl server_create_workflow "it's [a]" --orchestrated).workflow_id
    """
    done = outside(provctl, text)
    status, run = done.stdout.split()
    assert status == "healthy"
    provctl("wait", run)
    (output,) = provctl("workflow", "outputs", run).json().values()
    assert output["name"] == "it's [a]"


def test_task_can_report_progress_by_the_shipped_function(
    provctl: Provctl, library: Path
) -> None:
    script = "use provctl.nu; provctl report-progress $env.PROVCTL_TASK_ID 30; 1"
    run = provctl.submit(provctl.file({"t": {"script": script}}))
    provctl("wait", run)
    types = [r.get("percent") for r in provctl.journal(run) if "percent" in r]
    assert types == [30]
