"""The OpenAPI document is true: generated requests get the documented responses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.api import Api, start_api

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_generated_requests_get_documented_responses(provctl: Provctl) -> None:
    api = start_api(provctl)
    work = {"a": {"command": ["true"]}}
    run = api.post("/workflows/submit", {"tasks": work}).data
    provctl("wait", run)
    added = {"cron": "0 0 29 2 *", "workflow": {"tasks": work}}
    kind = {"Content-Type": "application/json"}
    assert api.ask("PUT", "/schedules/nightly", added, kind).status == 201
    document = api.get("/openapi.json").json()
    # Streams do not end, which this client waits for.
    for path in [path for path in document["paths"] if path.endswith("/events")]:
        del document["paths"][path]
    # Some of the requests are to be about what is there.
    there = {"run": [run, "bcdfghjkmn"], "name": ["nightly", "other"]}
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] in there and parameter["in"] == "path":
                    names = there[parameter["name"]]
                    parameter["schema"] = {"enum": names, "type": "string"}
    schema = provctl.text("openapi.json", json.dumps(document))
    done = subprocess.run(
        [
            str(_SCHEMATHESIS),
            "run",
            str(schema),
            *("--url", f"http://127.0.0.1:{api.port}"),
            *("--header", f"Authorization: Bearer {api.token}"),
            *("--checks", _CHECKS),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "25"),
            *("--seed", "7"),
            *("--max-time", "20"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=str(provctl.folder),
        env=provctl.environ,
        timeout=300,
        check=False,
    )
    told = done.stdout.decode()
    assert done.returncode == 0, told
    assert re.search(r"\d+ passed", told), told
    assert api.get("/health").status == 200
    assert "Traceback" not in provctl("scheduler", "logs").out


def test_document_is_complete_and_loads_nothing(
    provctl: Provctl,
) -> None:
    provctl("scheduler", "start")
    api = Api(provctl.state)
    document = api.get("/openapi.json").json()
    assert {
        "/health",
        "/tasks",
        "/tasks/{run}",
        "/tasks/{run}/{task}",
        "/tasks/{run}/{task}/progress",
        "/workflows",
        "/workflows/submit",
        "/workflows/{run}",
        "/workflows/{run}/events",
        "/workflows/{noun}/{verb}",
        "/events",
        "/metrics",
        "/schedules",
        "/schedules/{name}",
        "/schedules/{name}/pause",
        "/schedules/{name}/resume",
        "/schedules/{name}/run",
    } <= document["paths"].keys()
    for path in ("/docs", "/redoc"):
        assert api.get(path).status == 404
