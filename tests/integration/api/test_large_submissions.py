"""Large submissions are checked in a separate process, with the same result."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

import pytest

from provctl.daemon.validation_process import LARGE
from tests.support.api import JSON, Answer, Api
from tests.support.attempts import command_of, processes_with

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_TRUE: Dict[str, Any] = {"command": ["true"]}
_UNKNOWN = [f"no-such-task-{n}" for n in range(6_000)]


@pytest.fixture
def api(provctl: Provctl) -> Api:
    provctl("scheduler", "start")
    return Api(provctl.state)


def _large(body: str) -> str:
    """The same document, followed by blank lines."""
    return body + "\n" * (LARGE + 1)


_WRONG: Dict[str, Tuple[str, int]] = {
    "mistakes": (
        '{"tasks": {\n"a": {"command": [], "nedds": 1},\n"b": {"needs": ["c"]}}}',
        422,
    ),
    "a syntax error": ('{"tasks": {\n"a": no}}', 422),
    "a key that stands twice": ('{"tasks": {"a": 1,\n"a": 2}}', 422),
    "no workflow": ("[]", 422),
    "a wrong field around it": ('{"workflow": {"tasks": {}}, "x": 1}', 422),
    "a wrong key": (json.dumps({"workflow": {"tasks": {"a": _TRUE}}, "key": "x"}), 400),
    "an unknown pool": (
        json.dumps({"tasks": {"a": {**_TRUE, "pools": {"disk": 1}}}}),
        422,
    ),
    "a library that is not there": (
        json.dumps(
            {"tasks": {"a": {"call": {"module": "servers.nu", "command": "create"}}}}
        ),
        422,
    ),
}


@pytest.mark.parametrize("name", _WRONG)
def test_large_submission_gets_the_same_mistakes(
    provctl: Provctl, api: Api, name: str
) -> None:
    body, status = _WRONG[name]
    small, large = (
        api.ask("POST", "/workflows/submit", each, {"Idempotency-Key": "y"})
        for each in (body, _large(body))
    )
    assert small.status == large.status == status, small.body
    assert small.json() == large.json()
    assert provctl.runs() == []


def test_large_submission_gets_the_same_result(provctl: Provctl, api: Api) -> None:
    tasks = {"a": _TRUE, "b": {"script": "{x: 1}", "needs": ["a"]}}
    body = json.dumps(
        {
            "workflow": {"name": "w", "tasks": tasks, "params": {"zone": "x"}},
            "params": {"zone": "y"},
            "priority": 7,
            "labels": {"env": "prod"},
        }
    )
    runs = [
        api.ask("POST", "/workflows/submit", each).data for each in (body, _large(body))
    ]
    provctl("wait", *runs)
    folders = [provctl.state / "runs" / run for run in runs]
    frozen = [(folder / "workflow.json").read_bytes() for folder in folders]
    assert frozen[0] == frozen[1]
    submitted = [provctl.journal(run)[0] for run in runs]
    for record in submitted:
        for each in ("run", "at", "crc"):
            record.pop(each, None)
    assert submitted[0] == submitted[1]


def test_small_and_large_submission_with_one_key_are_one_run(
    provctl: Provctl, api: Api
) -> None:
    body = json.dumps({"tasks": {"a": _TRUE}})
    key = {"Idempotency-Key": "k"}
    runs = {
        api.ask("POST", "/workflows/submit", each, key).data
        for each in (body, _large(body), _large(body))
    }
    assert len(runs) == 1
    provctl("wait", *runs)
    other = _large(json.dumps({"tasks": {"b": _TRUE}}))
    answer = api.ask("POST", "/workflows/submit", other, key)
    assert (answer.status, answer.json()["code"]) == (409, 42)


def test_large_schedule_gets_the_same_result(provctl: Provctl, api: Api) -> None:
    body = json.dumps({"cron": "@daily", "workflow": {"tasks": {"a": _TRUE}}})
    small, large = (_put(api, n, b) for n, b in (("x", body), ("y", _large(body))))
    assert (small.status, large.status) == (201, 201), large.body
    told = [
        {k: v for k, v in each.data.items() if k not in ("name", "created_at", "since")}
        for each in (small, large)
    ]
    assert told[0] == told[1]
    assert _put(api, "y", _large(body)).status == 200
    other = json.dumps({"cron": "@hourly", "workflow": {"tasks": {"a": _TRUE}}})
    answers = [_put(api, "y", each) for each in (other, _large(other))]
    assert [answer.status for answer in answers] == [409, 409]
    assert answers[0].json() == answers[1].json()
    wrong = json.dumps({"cron": "@daily", "workflow": {"tasks": {"a": {}}}})
    answers = [_put(api, "z", each) for each in (wrong, _large(wrong))]
    assert [answer.status for answer in answers] == [422, 422]
    assert answers[0].json() == answers[1].json()


def test_response_lists_at_most_a_hundred_mistakes_with_short_lines(
    api: Api,
) -> None:
    wrong = {"tasks": {"a": {**_TRUE, "needs": _UNKNOWN}}}
    schedule = json.dumps({"cron": "@daily", "workflow": wrong})
    for body in (json.dumps(wrong), _large(json.dumps(wrong))):
        answer = api.ask("POST", "/workflows/submit", body)
        _check_many(answer)
    for body in (schedule, _large(schedule)):
        _check_many(_put(api, "x", body))


def _check_many(answer: Answer) -> None:
    assert answer.status == 422
    assert len(answer.body) < 200_000
    told = answer.json()
    assert len(told["mistakes"]) == 100
    assert told["more_mistakes"] == 5_900
    assert told["error"].endswith("\nand 5900 more errors")
    last = told["mistakes"][-1]
    assert "no-such-task-99" in last["message"]
    assert "no-such-task-99" in last["source_line"]
    assert len(last["source_line"]) <= 160


def test_response_shortens_long_names(api: Api) -> None:
    body = json.dumps({"tasks": {"a": {**_TRUE, "needs": ["x" * 4_900_000]}}})
    answer = api.ask("POST", "/workflows/submit", body)
    assert answer.status == 422
    assert len(answer.body) < 20_000


def test_stop_does_not_wait_for_a_check(provctl: Provctl, api: Api) -> None:
    tasks = {f"t{n}": {**_TRUE, "description": "x" * 80} for n in range(90_000)}
    body = json.dumps({"tasks": tasks})
    answers: List[Any] = []

    def send() -> None:
        try:
            answers.append(api.ask("POST", "/workflows/submit", body))
        except OSError as problem:
            answers.append(problem)

    sender = threading.Thread(target=send)
    sender.start()
    mark = f"PROVCTL_STATE_DIR={provctl.state}"

    def checking() -> List[int]:
        return [p for p in processes_with(mark) if "load-workflow" in command_of(p)]

    provctl.until(lambda: bool(checking()), "it is checked in a process of its own")
    provctl("scheduler", "stop")
    assert checking() == []
    sender.join(60)
    (answer,) = answers
    assert isinstance(answer, OSError) or answer.status == 503
    assert provctl.runs() == []
    provctl("scheduler", "start")  # the control: it can be checked
    run = api.ask("POST", "/workflows/submit", json.dumps({"tasks": {"a": _TRUE}})).data
    provctl("wait", run)


def _put(api: Api, name: str, body: str) -> Answer:
    return api.ask("PUT", f"/schedules/{name}", body, JSON)
