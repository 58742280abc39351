"""Return values of library commands: text of programs, and `success: false`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

MODULES = {
    "hosts/show.nu": "export def show-host [] { print 'looking'; ^printf 'Linux\\n' }\n",
    "hosts/create.nu": """
export def create-host [--times: int = 99] {
    "x" | save --append tries
    if (open --raw tries | str length) > $times { return {success: true, id: 7} }
    {success: false, error: "quota exceeded", limit: 3}
}
""",
    "hosts/delete.nu": "export def delete-host [] { {success: false, error: 'busy'} }\n",
}
QUOTA = {"success": False, "error": "quota exceeded", "limit": 3}


@pytest.fixture
def hosts(provctl: Provctl) -> Provctl:
    for name, text in MODULES.items():
        path = provctl.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(provctl.folder)
    provctl.environ["XDG_CACHE_HOME"] = str(provctl.folder / "cache")
    return provctl


def call(verb: str, **fields: Any) -> Dict[str, Any]:
    record = {"module": f"hosts/{verb}.nu", "command": f"{verb}-host", **fields}
    return {"call": record}


def test_text_of_an_external_program_is_the_output_of_the_task(hosts: Provctl) -> None:
    of = {"$output": {"task": "show"}}
    tasks = {
        "show": call("show"),
        "script": {"script": "print 1\n^printf 'Linux\\n'"},
        "use": {"command": ["echo", of, {"$output": {"task": "script"}}]},
    }
    run = hosts.submit(hosts.file(tasks))
    hosts("wait", run)
    assert hosts("logs", run, "use").out == "Linux Linux\n"
    assert hosts("logs", run, "show").out == "looking\nLinux\n"
    assert hosts("workflow", "outputs", run, "show").json() == "Linux"


def test_too_large_text_of_an_external_program_fails_the_task(hosts: Provctl) -> None:
    script = {"script": "^head -c 262145 /dev/zero"}
    other = {"script": "^head -c 262145 /dev/zero; null"}
    run = hosts.submit(hosts.file({"a": script, "b": other}))
    hosts("wait", run, code=10)
    assert hosts.task(run, "a")["reason"] == "its output is larger than 262144 bytes"
    assert hosts.task(run, "b")["outcome"] == "succeeded"


def test_call_that_returns_success_false_fails_the_task(hosts: Provctl) -> None:
    tasks = {
        "a": call("create"),
        "b": {"needs": ["a"], "command": ["true"]},
        "c": call("create", check_success=False),
    }
    run = hosts.submit(hosts.file(tasks))
    hosts("wait", run, code=10)
    failed = hosts.task(run, "a")
    assert (failed["outcome"], failed["reason"]) == ("failed", "quota exceeded")
    assert failed["exit_code"] == 1
    assert "quota exceeded" in hosts("status", run).out
    assert "quota exceeded" in hosts("logs", run, "a").out
    assert hosts("workflow", "outputs", run).json() == {"a": QUOTA, "c": QUOTA}
    assert hosts("workflow", "outputs", run, "a", "limit").out == "3\n"
    assert hosts.task(run, "b")["outcome"] == "skipped"
    assert hosts.task(run, "c")["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("on", "status", "attempts"),
    [
        ({}, "succeeded", 3),
        ({"on": [1]}, "succeeded", 3),
        ({"on": [75, "signal"]}, "failed", 1),
    ],
)
def test_success_false_is_retried_like_exit_code_1(
    hosts: Provctl, on: Any, status: str, attempts: int
) -> None:
    fields = {**call("create", flags={"times": 2}), "retry": {"attempts": 5, **on}}
    run = hosts.submit(hosts.file({"a": fields}))
    hosts("wait", run, code=0 if status == "succeeded" else 10)
    task = hosts.task(run, "a")
    assert (task["outcome"], task["attempts"]) == (status, attempts)


def test_undo_that_returns_success_false_has_failed(hosts: Provctl) -> None:
    tasks = {
        "a": {"command": ["true"], "undo": call("delete")},
        "b": {"needs": ["a"], "command": ["false"], "on_failure": "rollback"},
    }
    run = hosts.submit(hosts.file(tasks))
    hosts("wait", run, code=15)
    undone = hosts.task(run, "a")
    assert (undone["outcome"], undone["reason"]) == ("undo_failed", "busy")


@pytest.mark.parametrize("form", ["json", "jsonl", "name", "table"])
def test_direct_call_that_returns_success_false_has_exit_code_1(
    hosts: Provctl, form: str
) -> None:
    done = hosts("host", "create", "--direct", "-o", form, code=1)
    assert "quota exceeded" in done.err
    if form == "json":
        assert done.json() == QUOTA
    assert "quota exceeded" in done.out
    done = hosts("host", "create", "--times", "0", "--direct", "-o", form)
    assert (done.err, "7" in done.out) == ("", True)


def test_direct_call_prints_the_text_of_an_external_program(hosts: Provctl) -> None:
    assert hosts("host", "show", "--direct", "-o", "json").out == '"Linux"\n'
    assert hosts("host", "show", "--direct", "-o", "name").out == "Linux\n"
    assert hosts("host", "show", "--direct").out == "looking\nLinux\n"


def test_orchestrated_call_that_returns_success_false_is_a_failed_run(
    hosts: Provctl,
) -> None:
    run = hosts("host", "create", "--orchestrated").last_word
    hosts("wait", run, code=10)
    assert json.loads(hosts("workflow", "outputs", run).out) == {"create-host": QUOTA}
