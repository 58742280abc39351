"""workflow.json: any workflow is read back unchanged; other content is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Dict, Set

import pytest
from hypothesis import given, settings

from provctl.core.model.workflow import (
    Command,
    NushellCall,
    Placement,
    RetryPolicy,
    Script,
    Task,
    Undo,
    Workflow,
)
from provctl.errors import JournalDamaged, JournalTooNew
from provctl.storage.workflow_json import FORMAT, digest, dump_workflow, load_workflow
from tests.support.any_workflow import any_workflow
from tests.support.workflows import a_workflow, group, output, task


@settings(max_examples=settings().max_examples // 2)
@given(any_workflow())
def test_any_workflow_is_read_back_unchanged(workflow: Workflow) -> None:
    again = load_workflow(dump_workflow(workflow), "workflow.json")
    assert again == workflow
    assert dump_workflow(again) == dump_workflow(workflow)


FULL = a_workflow(
    task(
        "a",
        action=NushellCall("servers/create.nu", "create", ("web", 1), {"zone": "x"}),
    ),
    task("b", [("a", "done")], action=Script("$args.ip", {"ip": output("a", "ip")})),
    group("g", ["a"], when={"$equals": [output("a"), 1]}, timeout_s=60.0),
    task(
        "g/c",
        action=Command(("ping", output("a", "ip"))),
        priority=1,
        timeout_s=5.0,
        retry=RetryPolicy(3, 1.0, 2.0, 9.0, 0.5),
        env={"A": "1"},
        pools={"p": 2},
        on_failure="continue",
        undo=Undo(
            Command(("rm", 3)),
            "begun",
            5.0,
            RetryPolicy(3, on=("75",)),
            idempotent=True,
        ),
        probe=Script("ask", {"a": 1}),
        secrets={"TOKEN": "env:NAME"},
        secrets_once=True,
        on_interrupt="rerun",
        idempotent=True,
        keep_processes=True,
        place=Placement("web1", ("eu",), 2.0, 1 << 30, 1),
        description="d",
    ),
    task("g/d", finalizer=True),
    name="full",
    params={"zone": "x"},
    timeout_s=600.0,
    description="d",
    library="/lib",
    cwd="/work",
    environment={"PATH": "/bin"},
    source="w.ncl",
    max_parallel=3,
    on_cancel="rollback",
    on_timeout="rollback",
)


def test_every_field_is_kept() -> None:
    again = load_workflow(dump_workflow(FULL), "workflow.json")
    assert again == FULL
    record = json.loads(dump_workflow(FULL))
    # Labels are of one submission; its record in the journal has them.
    assert record.keys() - {"v"} == {f.name for f in fields(Workflow)} - {"labels"}
    written: Set[str] = set().union(*record["tasks"])
    kinds = {"call", "script", "workflow", "command"}
    # The index is its place; the action is named by its kind.
    assert written - kinds == {f.name for f in fields(Task)} - {"index", "action"}


def test_default_values_are_not_written() -> None:
    record = json.loads(dump_workflow(a_workflow(task("a"), task("b", ["a"]))))
    assert record == {
        "v": 1,
        "name": "w",
        "tasks": [
            {"id": "a", "command": {"argv": ["true"]}},
            {"id": "b", "command": {"argv": ["true"]}, "needs": ["a"]},
        ],
    }


@pytest.mark.parametrize(
    "workflow",
    [
        a_workflow(task("a"), task("f", finalizer=True)),
        a_workflow(task("a"), on_cancel="rollback"),
        a_workflow(task("a"), on_timeout="rollback"),
    ],
    ids=["finally", "on_cancel", "on_timeout"],
)
def test_what_an_earlier_version_would_leave_out_is_of_a_newer_format(
    workflow: Workflow,
) -> None:
    frozen = dump_workflow(workflow)
    assert json.loads(frozen)["v"] == 2
    assert load_workflow(frozen, "here") == workflow


def test_digest_is_that_of_the_bytes() -> None:
    assert digest(b"") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_workflow(a_workflow(params={"x": float("nan")}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"v":1}',
        b'{"v":"1","name":"w","tasks":[]}',
        b'{"v":1,"name":"w","tasks":[{"id":"a"}]}',
        b'{"v":1,"name":"w","tasks":[{"id":"a","call":{},"script":{}}]}',
        b'{"v":1,"name":"w","tasks":[{"id":"a","command":{"argv":[]},"x":1}]}',
        b'{"v":1,"name":"w","tasks":[1]}',
        b'{"v":1,"name":"w","tasks":' + b"[" * 200_000,
        dump_workflow(FULL)[:-10],
    ],
    ids=range(12),
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(JournalDamaged, match=r"^here: not a stored workflow"):
        load_workflow(content, "here")


def test_newer_format_is_distinguished_from_damage() -> None:
    newer = FORMAT + 1
    with pytest.raises(JournalTooNew, match=f"format {newer}, this version knows"):
        load_workflow(b'{"v":%d,"steps":{}}' % newer, "here")


@pytest.mark.parametrize(
    ("env", "version"),
    [
        ({}, 1),
        ({"A": output("a")}, 1),
        ({"A": {"$outcome": "a"}}, 2),
        ({"A": {"$output": {"task": "a", "path": "", "default": 0}}}, 2),
    ],
)
def test_format_is_the_oldest_with_all_used_features(
    env: Dict[str, Any], version: int
) -> None:
    """An earlier version would take such a value for data."""
    workflow = a_workflow(task("a"), task("b", ["a"], env=env))
    frozen = dump_workflow(workflow)
    assert json.loads(frozen)["v"] == version
    assert load_workflow(frozen, "here") == workflow
