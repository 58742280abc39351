"""Schedules in the API: added once, shown, paused, run and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

from tests.support.api import JSON, Answer, Api, start_api
from tests.support.clocks import SetClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

_NEVER = "0 0 29 2 *"  # not while a test runs
_WORD = {"command": ["echo", {"$param": "word"}]}
_SENT: Dict[str, Any] = {
    "cron": _NEVER,
    "time_zone": "Europe/Madrid",
    "workflow": {"params": {"word": "x"}, "tasks": {"a": _WORD}},
    "params": {"word": "y"},
    "labels": {"env": "test"},
    "priority": 3,
}


@pytest.fixture
def api(provctl: Provctl) -> Api:
    provctl("scheduler", "start")
    return Api(provctl.state)


def put(api: Api, name: str, **fields: Any) -> Answer:
    return api.ask("PUT", f"/schedules/{name}", {**_SENT, **fields}, JSON)


def delete(api: Api, name: str) -> Answer:
    return api.ask("DELETE", f"/schedules/{name}", headers=JSON)


def test_schedule_is_added_shown_paused_run_and_removed(
    provctl: Provctl, api: Api
) -> None:
    assert api.get("/schedules").data == []
    added = put(api, "nightly")
    assert added.status == 201, added.body
    told = added.data
    assert api.get("/schedules/nightly").data == told
    assert api.get("/schedules").data == [told]
    assert (told["cron"], told["time_zone"]) == (_NEVER, "Europe/Madrid")
    assert (told["file"], told["labels"]) == (None, {"env": "test"})
    assert told["params"] == {"word": "y"}
    assert len(told["next_at"]) == 5
    assert (told["catch_up"], told["overlap"], told["run"]) == ("latest", "skip", None)
    answer = api.post("/schedules/nightly/run", {"labels": {"by": "hand"}})
    assert answer.status == 202, answer.body
    run = answer.json()["workflow_id"]
    provctl("wait", run)
    assert provctl.log(run).read_text() == "y\n"
    whole = api.get(f"/workflows/{run}").data
    labels = {"env": "test", "by": "hand", "schedule": "nightly"}
    assert (whole["labels"], whole["priority"]) == (labels, 3)
    assert whole["name"] == "nightly"
    assert api.post("/schedules/nightly/pause", {"reason": "lunch"}).data == "nightly"
    told = api.get("/schedules/nightly").data
    assert (told["reason"], told["next_at"]) == ("lunch", [])
    assert api.post("/schedules/nightly/resume").status == 200
    again = api.post("/schedules/nightly/resume")
    assert (again.status, again.json()["code"]) == (409, 41)
    assert delete(api, "nightly").data == "nightly"
    gone = delete(api, "nightly")
    assert (gone.status, gone.json()["code"]) == (404, 40)
    assert api.get("/schedules/nightly").status == 404
    assert provctl.runs() == [run]


def test_schedule_sent_twice_exists_once(api: Api) -> None:
    assert put(api, "s").status == 201
    made = api.get("/schedules/s").data
    api.post("/schedules/s/pause", {"reason": "x"})
    again = put(api, "s")
    assert (again.status, again.data["reason"]) == (200, "x")
    other = put(api, "s", cron="0 1 29 2 *")
    assert (other.status, other.json()["code"]) == (409, 41)
    assert api.get("/schedules/s").data["cron"] == made["cron"]
    key = {"Idempotency-Key": "k"}
    runs = [api.post("/schedules/s/run", {}, **key).data for _ in "ab"]
    assert runs[0] == runs[1]


def test_command_line_and_api_show_the_same_schedules(
    provctl: Provctl, api: Api, tmp_path: Path
) -> None:
    put(api, "sent")
    file = provctl.file({"a": {"command": ["true"]}})
    provctl("schedule", "add", file, "--name", "added", "--cron", _NEVER, "-l", "n=1")
    rows = provctl("schedule", "list", "-o", "json").json()
    own = ("next", "last", "note")
    told = [{k: v for k, v in row.items() if k not in own} for row in rows]
    assert api.get("/schedules").data == told
    assert [row["file"] for row in rows] == [str(file), None]
    (row,) = provctl("schedule", "list", "-l", "env=test", "-o", "json").json()
    assert row["name"] == "sent"
    assert [s["name"] for s in api.get("/schedules?label=n").data] == ["added"]
    assert [s["name"] for s in api.get("/schedules?limit=1&offset=1").data] == ["sent"]
    assert "added through the API" in provctl("schedule", "show", "sent").out
    run = provctl("schedule", "run", "sent", "-l", "by=hand").last_word
    labels = {"env": "test", "by": "hand", "schedule": "sent"}
    assert provctl.status(run)["labels"] == labels
    path = provctl.state / "schedules" / "added.json"
    path.write_bytes(path.read_bytes().replace(b"added", b"adder"))
    damaged, sound = api.get("/schedules").data
    assert ("damaged" in damaged["damage"], sound["damage"]) == (True, None)
    assert api.get("/schedules/added").status == 409
    assert delete(api, "added").status == 200


@pytest.mark.parametrize(
    ("name", "fields", "status", "said"),
    [
        ("s", {"cron": "99 * * * *"}, 400, "'99' is not a valid minute"),
        ("s", {"cron": "* * *"}, 400, "3 fields"),
        ("s", {"time_zone": "Mars"}, 400, "time zone"),
        ("s", {"workflow": {"tasks": {"a": {}}}}, 422, "nothing to run"),
        ("s", {"workflow": {}}, 422, "tasks"),
        ("s", {"workflow": "/etc/passwd"}, 422, "workflow"),
        ("s", {"file": "/etc/passwd"}, 422, "file"),
        ("s", {"key": "k"}, 422, "key"),
        ("s", {"overlap": "never"}, 422, "overlap"),
        ("s", {"priority": "5"}, 422, "priority"),
        ("s", {"labels": {"a b": ""}}, 422, "invalid label key"),
        ("s", {"labels": {f"k{n}": "" for n in range(32)}}, 400, "at most 32"),
        ("s", {"params": {"nope": "1"}}, 422, "nope"),
        ("-s", {}, 404, "name"),
        ("a" * 101, {}, 404, "name"),
    ],
)
def test_invalid_schedule_is_refused_and_not_added(
    api: Api, name: str, fields: Dict[str, Any], status: int, said: str
) -> None:
    answer = put(api, name, **fields)
    assert answer.status == status, answer.body
    assert said in answer.body.decode()
    assert api.get("/schedules").data == []


def test_too_large_workflow_is_refused(api: Api) -> None:
    # Within what a body may have, but no longer as it is kept.
    task = {"command": ["true"], "description": '"' * 1000}
    tasks = {f"t{n}": task for n in range(450)}
    answer = put(api, "s", workflow={"tasks": tasks}, params={})
    assert answer.status == 400, answer.body
    assert "too large" in answer.error
    assert api.get("/schedules").data == []


def test_tcp_requires_the_token(provctl: Provctl) -> None:
    tcp = start_api(provctl)
    wrong = {**JSON, "Authorization": "Bearer x"}
    assert tcp.ask("PUT", "/schedules/s", _SENT, wrong).status == 401
    assert tcp.get("/schedules").data == []
    assert put(tcp, "s").status == 201
    assert tcp.get("/schedules").data[0]["name"] == "s"


def test_schedule_fires_and_metrics_count_it(provctl: Provctl) -> None:
    clock = SetClock(provctl)
    provctl("scheduler", "start", env=clock.env)
    api = Api(provctl.state)
    text = api.get("/metrics").body.decode()
    assert "provctl_schedules 0.0" in text
    assert put(api, "s", cron="* * * * *").status == 201
    clock.set(3600)
    assert put(api, "other").status == 201  # it looks at the clock
    run = provctl.until(lambda: api.get("/schedules/s").data["run"], "a run")
    provctl("wait", run)
    assert provctl.log(run).read_text() == "y\n"
    text = api.get("/metrics").body.decode()
    assert "provctl_schedules 2.0" in text
    assert 'provctl_schedule_next_timestamp_seconds{schedule="s"} ' in text
    api.post("/schedules/s/pause")

    def is_none() -> bool:
        return 'schedule="s"' not in api.get("/metrics").body.decode()

    provctl.until(is_none, "a paused one waits for no time")
