"""The API of a real scheduler: what each route does, over TCP and the Unix socket."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

import pytest

from tests.support.api import Api, start_api
from tests.support.tools import need_localhost

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(params=["tcp", "unix"])
def api(provctl: Provctl, request: pytest.FixtureRequest) -> Api:
    tcp = start_api(provctl)
    return tcp if request.param == "tcp" else Api(provctl.state)


@pytest.fixture
def unix(provctl: Provctl) -> Api:
    provctl("scheduler", "start")
    return Api(provctl.state)


def tasks(**commands: str) -> Dict[str, Any]:
    return {name: {"command": ["sh", "-c", text]} for name, text in commands.items()}


def submitted(api: Api, body: Any, **headers: str) -> str:
    answer = api.post("/workflows/submit", body, **headers)
    assert answer.status == 202, answer.body
    told = answer.json()
    assert told["status"] == "queued"
    assert told["data"] == told["workflow_id"]
    return str(told["data"])


def test_health_has_both_formats_and_needs_no_token(api: Api) -> None:
    answer = api.get("/health", Authorization="")
    assert answer.status == 200
    told = answer.json()
    assert told.pop("version")
    assert told == {
        "status": "healthy",
        "success": True,
        "data": "Orchestrator is healthy",
    }


def test_labels_are_stored_and_select_runs(provctl: Provctl, unix: Api) -> None:
    body = {
        "workflow": {"tasks": tasks(a="exit 0"), "labels": {"team": "web", "env": "x"}},
        "labels": {"env": "prod"},
    }
    run = submitted(unix, body)
    other = submitted(unix, {"tasks": tasks(a="exit 0")})
    for each in (run, other):
        provctl("wait", each)
    labels = {"team": "web", "env": "prod"}
    assert unix.get(f"/workflows/{run}").data["labels"] == labels

    def found(label: str) -> List[str]:
        return [each["id"] for each in unix.get(f"/workflows?label={label}").data]

    assert found("env=prod,team") == [run]
    assert found("env!=prod") == [other]
    assert found("!env,team") == []
    assert unix.get("/workflows?label=a%20b").status == 400
    for wrong in ({"env": 3}, {"a b": ""}, ["env"]):
        answer = unix.post("/workflows/submit", {**body, "labels": wrong})
        assert answer.status == 422, answer.body


def test_submitted_run_has_tasks_with_the_documented_fields(
    provctl: Provctl, api: Api
) -> None:
    work = {**tasks(a="exit 0", b="exit 3")}
    work["b"]["needs"] = ["a"]
    run = submitted(api, {"name": "deploy", "tasks": work})
    provctl("wait", run, code=10)
    first, second = api.get(f"/tasks?run={run}").data
    assert first["id"] == f"{run}/a"
    assert (first["status"], second["status"]) == ("Completed", "Failed")
    assert second["dependencies"] == [f"{run}/a"]
    assert (second["command"], second["args"]) == ("sh", ["-c", "exit 3"])
    assert second["error"] == "exit code 3"
    for field in ("created_at", "started_at", "completed_at"):
        assert _TIME.fullmatch(second[field])
    assert api.get(f"/tasks/{run}/b").data == second
    whole = api.get(f"/workflows/{run}").data
    assert whole["tasks"] == [first, second]
    assert (whole["name"], whole["outcome"]) == ("deploy", "failed")
    assert api.get("/workflows").data[0]["id"] == run


def test_lists_are_limited_and_filtered(provctl: Provctl, unix: Api) -> None:
    for name in ("one", "two", "three"):
        run = submitted(unix, {"name": name, "tasks": tasks(a="exit 0", b="exit 1")})
        provctl("wait", run, code=10)
    names = [run["name"] for run in unix.get("/workflows").data]
    assert names == ["three", "two", "one"]
    assert [r["name"] for r in unix.get("/workflows?limit=1&offset=1").data] == ["two"]
    assert unix.get("/workflows?status=succeeded").data == []
    every = [task["id"] for task in unix.get("/tasks").data]
    assert len(every) == 6
    assert [t["id"] for t in unix.get("/tasks?limit=2&offset=3").data] == every[3:5]
    failed = [task["id"] for task in unix.get("/tasks?status=Failed").data]
    assert failed == every[1::2]
    assert [t["id"] for t in unix.get("/tasks?status=Failed&offset=2").data] == failed[
        2:
    ]
    for wrong in ("limit=0", "limit=1001", "offset=-1", "status=running", "run=%20"):
        assert unix.get(f"/tasks?{wrong}").status == 422, wrong


def test_runs_of_other_owners_are_listed(provctl: Provctl, unix: Api) -> None:
    assert unix.get("/tasks").data == []
    provctl("run", provctl.file(tasks(a="exit 0"), name="mine"))
    run = provctl.runs()[0]
    provctl.until(lambda: unix.get("/tasks").data, "the run is listed")
    (task,) = unix.get("/tasks").data
    assert (task["run"], task["status"]) == (run, "Completed")
    assert unix.get(f"/tasks/{run}").data == task
    provctl("workflow", "rm", run, "--yes", code=None)


def test_same_key_makes_two_submissions_one_run(provctl: Provctl, unix: Api) -> None:
    body = {"tasks": tasks(a="exit 0")}
    run = submitted(unix, body, **{"Idempotency-Key": "k1"})
    assert submitted(unix, {"workflow": body, "key": "k1"}) == run
    other = {"tasks": tasks(a="exit 1")}
    answer = unix.post("/workflows/submit", other, **{"Idempotency-Key": "k1"})
    assert (answer.status, answer.json()["code"]) == (409, 42)
    both = unix.post(
        "/workflows/submit",
        {"workflow": body, "key": "k2"},
        **{"Idempotency-Key": "k3"},
    )
    assert both.status == 400
    provctl("wait", run)
    assert submitted(unix, {"workflow": body, "key": "k1"}) == run
    assert provctl.runs() == [run]


def test_wrapper_sets_parameters_of_the_workflow(provctl: Provctl, unix: Api) -> None:
    workflow = {
        "params": {"word": "a", "times": 1},
        "tasks": {"a": {"command": ["echo", {"$param": "word"}, {"$param": "times"}]}},
    }
    body = {"workflow": workflow, "params": {"word": "5", "times": 7}, "priority": 4}
    run = submitted(unix, body)
    provctl("wait", run)
    assert provctl.log(run).read_text() == "5 7\n"
    assert unix.get(f"/workflows/{run}").data["priority"] == 4


def test_every_mistake_of_a_workflow_has_its_location(unix: Api) -> None:
    text = (
        '{"workflow":\n {"tasks": {\n  "a": {"command": []},\n  "b": {"commnd": 1}}}}'
    )
    answer = unix.ask("POST", "/workflows/submit", text)
    assert answer.status == 422
    told = answer.json()
    assert told["code"] == 50
    assert {mistake["line"] for mistake in told["mistakes"]} == {3, 4}
    assert all(mistake["column"] for mistake in told["mistakes"])


@pytest.mark.parametrize(
    "body",
    [
        {"library": "lib", "tasks": tasks(a="true")},
        {"tasks": {"a": {"command": ["true"], "secrets": {"X": "file:secret"}}}},
        {"workflow": {"tasks": tasks(a="true")}, "path": "/etc/passwd"},
        {"workflow": {"tasks": tasks(a="true")}, "params": {"x": {"$output": 1}}},
        "/etc/workflow.json",
        ["tasks"],
    ],
)
def test_workflow_that_refers_to_other_files_is_refused(
    provctl: Provctl, unix: Api, body: Any
) -> None:
    answer = unix.post("/workflows/submit", json.dumps(body))
    assert answer.status == 422, answer.body
    assert provctl.runs() == []


def test_runs_can_be_paused_resumed_and_cancelled(provctl: Provctl, api: Api) -> None:
    run = submitted(api, json.loads(provctl.endless().read_text()))
    provctl.until_ready(run)
    assert api.post(f"/workflows/{run}/pause", {"reason": "lunch"}).data == run
    assert api.get(f"/workflows/{run}").data["status"] == "paused"
    assert api.post(f"/workflows/{run}/resume").status == 200
    again = api.post(f"/workflows/{run}/resume")
    assert (again.status, again.json()["code"]) == (409, 41)
    assert api.post(f"/workflows/{run}/cancel", {"now": True}).status == 200
    provctl("wait", run, code=11)
    assert api.post(f"/workflows/{run}/cancel").status == 409
    assert api.post(f"/workflows/{run}/retry", {"tasks": ["b"]}).status == 200
    provctl.until(lambda: provctl.task(run, "b")["outcome"] == "skipped", "b was open")
    assert api.post(f"/workflows/{run}/rollback").status == 409
    kinds = [record["type"] for record in provctl.journal(run)]
    for kind in ("run_paused", "run_resumed", "cancel_requested", "retry_requested"):
        assert kinds.count(kind) == 1


def test_foreground_run_is_controlled_by_its_owner(provctl: Provctl, unix: Api) -> None:
    with provctl.start("run", provctl.endless()) as process:
        provctl.until(provctl.runs, "the run is there")
        (run,) = provctl.runs()
        provctl.until_ready(run)
        assert unix.get(f"/tasks/{run}/a").data["status"] == "Running"
        told = {"progress": 40, "status": "in_progress", "message": "half"}
        assert unix.post(f"/tasks/{run}/a/progress", told).status == 200
        assert unix.get(f"/tasks/{run}/a").data["progress"] == 40
        assert unix.post(f"/workflows/{run}/cancel").status == 200
        process.communicate(timeout=60)
        assert process.returncode == 11


def test_progress_of_a_task_is_stored_and_shown(provctl: Provctl, api: Api) -> None:
    run = submitted(api, json.loads(provctl.endless().read_text()))
    provctl.until_ready(run)
    assert api.get(f"/workflows/{run}").data["tasks"][0]["progress"] == 0
    for percent in range(1, 101):
        told = {
            "progress": percent,
            "status": "in_progress",
            "message": f"at {percent}",
        }
        assert api.post(f"/tasks/{run}/a/progress", told).data == f"{run}/a"

    def said() -> bool:
        task = api.get(f"/tasks/{run}/a").data
        return (task["progress"], task["message"]) == (100, "at 100")

    provctl.until(said, "the last value is there")
    assert api.get(f"/workflows/{run}").data["tasks"][0]["progress"] == 100
    facts = [r for r in provctl.journal(run) if r["type"] == "progress_reported"]
    assert facts[-1]["percent"] == 100
    assert len(facts) < 50
    for wrong in ({"progress": 101}, {"progress": "5"}, {"progress": 5, "x": 1}, {}):
        assert api.post(f"/tasks/{run}/a/progress", wrong).status == 422
    waiting = api.post(f"/tasks/{run}/b/progress", {"progress": 1})
    assert (waiting.status, waiting.json()["code"]) == (409, 41)
    assert api.post(f"/tasks/{run}/progress", {"progress": 1}).status == 404
    api.post(f"/workflows/{run}/cancel", {"now": True})
    provctl("wait", run, code=11)
    ended = api.post(f"/tasks/{run}/a/progress", {"progress": 1})
    assert ended.status == 409


@pytest.mark.parametrize(
    "path", ["/tasks/bcdfghjkmn", "/tasks/bcdfghjkmn/a", "/workflows/bcdfghjkmn"]
)
def test_unknown_run_or_task_gets_404(unix: Api, path: str) -> None:
    answer = unix.get(path)
    assert (answer.status, answer.json()["code"]) == (404, 40)
    assert unix.get(f"{path}/events").status == 404
    assert unix.post(f"{path}/cancel").status in (404, 405)
    assert unix.get("/nothing").json()["success"] is False
    assert unix.get("/workflows/..").status == 404
    assert (
        unix.ask("DELETE", "/tasks", "{}", {"Content-Type": "application/json"}).status
        == 405
    )


def test_metrics_are_available_for_prometheus(provctl: Provctl, unix: Api) -> None:
    run = submitted(unix, {"tasks": tasks(a="exit 0", b="exit 1")})
    provctl("wait", run, code=10)
    answer = unix.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.body.decode()
    assert 'provctl_runs_finished_total{outcome="failed"} 1.0' in text
    assert 'provctl_attempts_finished_total{outcome="succeeded"} 1.0' in text
    assert "provctl_task_slots 10.0" in text


def test_used_port_stops_no_workflow(provctl: Provctl) -> None:
    api = start_api(provctl)
    other = provctl.folder / "other"
    environ = {"PROVCTL_STATE_DIR": str(other)}
    provctl("scheduler", "start", env=environ)
    told = provctl("scheduler", "status", "-o", "json", env=environ).json()
    assert told["api"] == [f"unix:{other}/scheduler/api.sock"]
    assert "Address already in use" in provctl("scheduler", "logs", env=environ).out
    run = submitted(Api(other), {"tasks": tasks(a="exit 0")})
    provctl("wait", run, env=environ)
    provctl("scheduler", "stop", env=environ)
    told = provctl("scheduler", "status", "-o", "json").json()
    assert told["api"][1] == f"http://127.0.0.1:{api.port}"


def test_api_listens_only_on_loopback(provctl: Provctl) -> None:
    provctl.environ.update(PROVCTL_SERVER_HOST="0.0.0.0")
    provctl("scheduler", "start")
    assert "only listen on loopback" in provctl("scheduler", "logs").out
    assert len(provctl("scheduler", "status", "-o", "json").json()["api"]) == 1


def test_api_code_is_loaded_at_the_first_request(provctl: Provctl) -> None:
    api = start_api(provctl)
    (pid,) = provctl.schedulers()

    def loaded() -> bool:
        return "httptools" in Path(f"/proc/{pid}/maps").read_text()

    assert not loaded()
    provctl("wait", provctl.submit(provctl.file(tasks(a="exit 0"))))
    assert not loaded()
    assert api.get("/health").status == 200
    assert loaded()


def test_response_is_not_delayed_by_nagle(provctl: Provctl) -> None:
    api = start_api(provctl)
    assert api.get("/health").status == 200
    with closing(api.connect()) as connection:
        took = []
        for _ in range(50):
            started = time.monotonic()
            connection.request("GET", "/health")
            assert connection.getresponse().read()
            took.append(time.monotonic() - started)
    # 40 ms each, if they did. Of so many one has a machine for itself.
    assert min(took) < 0.03


_NU = """
let response = (http get $"($env.ENDPOINT)/health")
if $response.status != "healthy" { error make { msg: "Orchestrator not available" } }
let sent = { type: "x", tasks: { a: { command: [true] } } }
let headers = [Authorization $"Bearer ($env.TOKEN)"]
let workflow = { tasks: ($sent.tasks | update a { command: ["true"] }) }
(http post --content-type application/json --headers $headers
    $"($env.ENDPOINT)/workflows/submit" $workflow).workflow_id
"""


def test_nushell_client_can_use_the_api(provctl: Provctl) -> None:
    need_localhost()
    api = start_api(provctl)
    endpoint = f"http://localhost:{api.port}"
    done = subprocess.run(
        ["nu", "--no-config-file", "-c", _NU],
        env={**provctl.environ, "ENDPOINT": endpoint, "TOKEN": api.token},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    provctl("wait", done.stdout.decode().strip())


def test_printed_progress_is_shown_by_the_api(provctl: Provctl, api: Api) -> None:
    gate = provctl.folder / "gate"
    script = (
        "echo 'PROGRESS: 30% unpacking'; echo ready;"
        f" while [ ! -e {gate} ]; do sleep 0.05; done;"
        " echo 'PROGRESS: 3/4 linking'; echo again; sleep 60"
    )
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.until_ready(run)

    def told() -> List[Tuple[object, object]]:
        """The progress in the task itself, in its run, and in the list of all tasks."""
        records = [
            api.get(f"/tasks/{run}/a").data,
            api.get(f"/workflows/{run}").data["tasks"][0],
            api.get("/tasks").data[0],
        ]
        return [(each["progress"], each["message"]) for each in records]

    provctl.until(lambda: told() == [(30, "unpacking")] * 3, "the first line is told")
    # What is posted is newer, and at once.
    api.post(f"/tasks/{run}/a/progress", {"progress": 50, "message": "posted"})
    assert told() == [(50, "posted")] * 3
    gate.touch()
    provctl.wait_for_text(provctl.log(run), "again")
    provctl.until(lambda: told() == [(75, "linking")] * 3, "the last line is told")
    provctl("cancel", run)
