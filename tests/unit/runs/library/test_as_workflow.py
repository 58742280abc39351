"""A JSON body is checked against a signature, and becomes a run."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from provctl.core.model.expressions import references, resolve
from provctl.core.model.workflow import NushellCall
from provctl.errors import UsageError
from provctl.nushell.library.index import LibraryCommand
from provctl.nushell.library.signatures import Parameter, Signature
from provctl.runs.library.as_workflow import single_task_workflow, values_from_body
from provctl.storage.workflow_json import dump_workflow, load_workflow

CREATE = Signature(
    "servers/create.nu",
    "create-server",
    parameters=(
        Parameter("name", "positional", "string", required=True),
        Parameter("count", "positional", "int"),
        Parameter("rest", "rest", "string"),
        Parameter("boot-time", "flag", "duration"),
        Parameter("tags", "flag", "list<string>"),
        Parameter("dry-run", "switch", "bool"),
        Parameter("wait_for", "flag", "filesize"),
    ),
)
VERB = LibraryCommand("server", "create", "servers/create.nu", signature=CREATE)


def test_infra_is_the_first_positional_and_params_are_named() -> None:
    params = {"boot_time": "1h30m", "dry-run": True, "tags": None, "wait-for": 5}
    given = values_from_body(CREATE, {"type": "x", "infra": "wuji", "params": params})
    assert given.args == ("wuji",)
    assert given.flags == {"boot-time": "1hr 30min", "dry-run": True, "wait_for": 5}
    assert given.into == {"boot-time": "duration", "wait_for": "filesize"}


def test_params_may_contain_all_values() -> None:
    params = {"name": "w", "count": 2, "rest": ["a", "b"]}
    assert values_from_body(CREATE, {"params": params}).args == ("w", 2, "a", "b")


def test_infra_is_a_flag_if_the_command_has_one() -> None:
    flag = Parameter("infra", "flag", "string")
    signature = CREATE._replace(parameters=(*CREATE.parameters, flag))
    given = values_from_body(signature, {"infra": "wuji", "params": {"name": "w"}})
    assert (given.args, given.flags) == (("w",), {"infra": "wuji"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["create-server", "needs name", "NAME (string)"]),
        ({"infra": 5}, ["NAME", "text", "5"]),
        ({"infra": "w", "params": {"name": "w"}}, ["name", "twice"]),
        ({"infra": "w", "params": []}, ["params", "record"]),
        ({"infra": "w", "params": {"colour": 1}}, ["colour", "--tags (list<string>)"]),
        ({"infra": "w", "params": {"boot-time": "soon"}}, ["--boot-time", "soon"]),
        ({"infra": "w", "params": {"tags": [1]}}, ["--tags", "list", "text", "[1]"]),
        ({"infra": "w", "params": {"dry_run": "yes"}}, ["--dry-run", "true or false"]),
        ({"infra": "w", "params": {"rest": "a"}}, ["REST", "a"]),
        ({"infra": "w", "params": {"rest": ["a"]}}, ["count", "later"]),
        ({"params": {"boot-time": "1s", "boot_time": "2s", "name": "w"}}, ["twice"]),
    ],
)
def test_invalid_body_is_reported(body: Dict[str, Any], words: List[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        values_from_body(CREATE, body)
    told = f"{refusal.value.message} {refusal.value.hint}"
    assert [word for word in words if word not in told] == []


def test_command_becomes_a_run_of_one_task() -> None:
    given = values_from_body(CREATE, {"infra": "w", "params": {"boot-time": "5sec"}})
    workflow = single_task_workflow(
        VERB, given, library="/lib", cwd="/", environment={"A": "b"}
    )
    (task,) = workflow.tasks
    assert (workflow.name, workflow.library, task.id) == (
        *("server_create", "/lib", "create-server"),
    )
    assert task.action == NushellCall(
        "servers/create.nu",
        "create-server",
        ("w",),
        {"boot-time": "5sec"},
        {"boot-time": "duration"},
    )
    assert load_workflow(dump_workflow(workflow), "w") == workflow


def test_values_are_never_taken_for_references() -> None:
    hostile = {"$output": {"task": "create-server", "path": ""}}
    signature = CREATE._replace(
        parameters=(Parameter("a", "positional", "record"), Parameter("b", "rest"))
    )
    body = {"params": {"a": hostile, "b": [hostile, "$output"]}}
    verb = VERB._replace(signature=signature)
    given = values_from_body(signature, body)
    workflow = single_task_workflow(verb, given, library="/", cwd="/", environment={})
    action = workflow.tasks[0].action
    assert isinstance(action, NushellCall)
    assert references(list(action.args)) == ()
    assert resolve(list(action.args), str, str) == [
        hostile,
        hostile,
        "$output",
    ]
