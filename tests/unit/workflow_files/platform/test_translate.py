"""Files of the platform that provctl replaces: their meaning and their mistakes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.model.workflow import (
    Dependency,
    NushellCall,
    RetryPolicy,
    SubWorkflow,
)
from provctl.errors import InvalidWorkflow
from provctl.workflow_files.flatten import flatten
from provctl.workflow_files.load import LoadContext, load_workflow
from provctl.workflow_files.platform.detect import is_platform_file
from provctl.workflow_files.platform.translate import (
    convert_platform_file,
)
from provctl.workflow_files.problems import ValidationIssues

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import Task, Workflow

BATCH: Dict[str, Any] = {
    "batch_workflow": {
        "name": "multi_cloud_deployment",
        "version": "1.0.0",
        "storage_backend": "surrealdb",
        "parallel_limit": 5,
        "rollback_enabled": True,
        "operations": [
            {
                "id": "upcloud_servers",
                "type": "server_batch",
                "provider": "upcloud",
                "dependencies": [],
                "servers": [{"name": "web-01", "zone": "es-mad1"}, "web-02"],
            },
            {
                "id": "k8s",
                "type": "taskserv_create",
                "dependencies": ["upcloud_servers"],
                "taskservs": [{"name": "kubernetes"}],
            },
        ],
    }
}


def loaded(folder: Path, value: Any, notes: List[str]) -> Workflow:
    file = folder / "w.json"
    file.write_text(json.dumps(value, indent=1))
    context = LoadContext(cwd="/", tell=notes.append)
    return load_workflow(file, {}, context=context)


def tasks_of(folder: Path, value: Any) -> Dict[str, Task]:
    return {task.id: task for task in loaded(folder, value, []).tasks}


def test_batch_becomes_a_workflow_of_calls(tmp_path: Path) -> None:
    notes: List[str] = []
    workflow = loaded(tmp_path, BATCH, notes)
    assert (workflow.name, workflow.max_parallel) == ("multi_cloud_deployment", 5)
    tasks = {task.id: task for task in workflow.tasks}
    assert list(tasks) == [
        "upcloud_servers",
        "upcloud_servers/web-01",
        "upcloud_servers/web-02",
        "k8s",
    ]
    assert tasks["upcloud_servers"].action == SubWorkflow()
    first = tasks["upcloud_servers/web-01"]
    assert first.action == NushellCall(
        "servers/create.nu",
        "create-server",
        ("web-01",),
        {"provider": "upcloud", "zone": "es-mad1"},
    )
    assert first.undo is not None
    assert first.undo.action == NushellCall(
        "servers/delete.nu", "delete-server", ("web-01",), {"provider": "upcloud"}
    )
    assert tasks["k8s"].needs == (Dependency("upcloud_servers"),)
    assert tasks["k8s"].on_failure == "rollback"
    assert notes == [
        f"{tmp_path / 'w.json'}: runs are stored in files, not in surrealdb"
    ]


def test_batch_in_the_format_of_the_platform_api_is_read(tmp_path: Path) -> None:
    inner = BATCH["batch_workflow"]
    sent = {
        "workflow_id": "wf-456",
        "operations": [{**op, "dependencies": []} for op in inner["operations"]],
        "dependencies": {"k8s": ["upcloud_servers"]},
        "configuration": {"parallel_limit": 3, "rollback_enabled": False},
    }
    workflow = loaded(tmp_path, sent, [])
    assert (workflow.name, workflow.max_parallel) == ("wf-456", 3)
    assert workflow.tasks[-1].needs == (Dependency("upcloud_servers"),)
    assert all(task.undo is None for task in workflow.tasks)


PLAN: Dict[str, Any] = {
    "name": "web",
    "type": "batch",
    "retry_policy": {
        "max_attempts": 4,
        "backoff": "exponential",
        "initial_delay": 5,
        "max_delay": 60,
    },
    "rollback_strategy": {"enabled": False},
    "operations": [
        {
            "id": "servers",
            "type": "create",
            "target": "server",
            "providers": ["aws", "upcloud"],
            "items": ["web-01"],
            "parallel": False,
            "timeout": 300,
            "on_failure": "continue",
        },
        {
            "id": "k8s",
            "type": "create",
            "target": "taskserv",
            "items": ["kubernetes"],
            "on_failure": "rollback",
        },
        {"id": "look", "type": "check", "target": "cluster", "items": ["web"]},
    ],
    "dependencies": [
        {"source": "server.web-01", "target": "taskserv.kubernetes"},
        {"source": "k8s", "target": "look", "type": "soft"},
    ],
}


def test_plan_with_providers_retries_and_dependencies_is_read(
    tmp_path: Path,
) -> None:
    tasks = tasks_of(tmp_path, PLAN)
    assert tasks["servers"].timeout_s == 300
    assert tasks["servers"].on_failure == "continue"
    aws, upcloud = tasks["servers/web-01-aws"], tasks["servers/web-01-upcloud"]
    assert isinstance(aws.action, NushellCall)
    assert aws.action.flags == {"provider": "aws"}
    assert upcloud.needs == (Dependency("servers/web-01-aws"),)  # parallel = false
    assert aws.retry == RetryPolicy(4, 5.0, 2.0, 60.0)
    assert aws.undo is None
    assert tasks["k8s"].undo is not None  # its own on_failure = "rollback"
    assert tasks["k8s"].needs == (Dependency("servers"),)
    assert tasks["look"].needs == (Dependency("k8s", "done"),)
    assert tasks["look"].action == NushellCall(
        "clusters/check.nu", "check-cluster", ("web",)
    )


def test_sequential_plan_runs_one_task_after_another(tmp_path: Path) -> None:
    chain = {**PLAN, "type": "sequential", "dependencies": []}
    tasks = tasks_of(tmp_path, chain)
    assert tasks["k8s"].needs == (Dependency("servers"),)
    assert tasks["look"].needs == (Dependency("k8s"),)


def test_formula_becomes_a_workflow(tmp_path: Path) -> None:
    formula = {
        "id": "base",
        "nodes": [
            {"id": "os", "taskserv": {"name": "os", "profile": "small"}},
            {
                "id": "etcd",
                "taskserv": {"name": "etcd"},
                "depends_on": [{"node_id": "os", "kind": "OnSuccess"}],
                "on_error": "Retry",
                "max_retries": 2,
            },
            {
                "id": "clean",
                "component": {"name": "cleaner"},
                "on_error": "Continue",
            },
        ],
        "edges": [{"from": "etcd", "to": "clean", "kind": "OnFailure"}],
    }
    tasks = tasks_of(tmp_path, formula)
    assert tasks["os"].action == NushellCall(
        "taskservs/create.nu", "create-taskserv", ("os",), {"profile": "small"}
    )
    assert tasks["etcd"].needs == (Dependency("os"),)
    assert tasks["etcd"].retry.attempts == 3
    assert tasks["clean"].needs == (Dependency("etcd", "failure"),)
    assert tasks["clean"].on_failure == "continue"


def mistakes(folder: Path, value: Any) -> List[str]:
    with pytest.raises(InvalidWorkflow) as refusal:
        loaded(folder, value, [])
    return [f"{m.source_line.strip()} | {m.message}" for m in refusal.value.mistakes]


def changed(**fields: Any) -> Dict[str, Any]:
    """The plan with other fields in its first operation."""
    first, *others = PLAN["operations"]
    return {**PLAN, "operations": [{**first, **fields}, *others]}


def retried(**policy: Any) -> Dict[str, Any]:
    return {**PLAN, "retry_policy": policy}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({**PLAN, "nmae": 1}, '"nmae": 1 | unknown field `nmae`'),
        (changed(type="paint"), '"type": "paint", | cannot tell what `servers`'),
        (changed(items="web"), '"items": "web", | `items` must be a list, not text'),
        (changed(items=[7]), "7 | an item of `items` must be a name or a record"),
        (changed(colour=1), '"colour": 1 | unknown field `colour` of an operation'),
        (changed(depends_on=["nope"]), '"nope" | task `servers` needs `nope`'),
        (
            changed(depends_on=[{"id": "k8s", "kind": "x"}]),
            "| a dependency must be an id",
        ),
        (changed(timeout="soon"), '"timeout": "soon", | task `servers`: `timeout`'),
        (changed(on_failure="cry"), '"on_failure": "cry" | task `servers`'),
        (changed(id="a b"), '"id": "a b", | `a b` is not a valid task id'),
        (changed(id="k8s"), "duplicate id `k8s`"),
        ({"operations": []}, "`operations` must be a list with at least one"),
        ({"operations": [{}]}, "an operation must have an `id`"),
        ({"batch_workflow": 1}, "`batch_workflow` must be a record, not a number"),
        (
            {**PLAN, "dependencies": [{"source": "x", "target": "k8s"}]},
            "no operation is named `x` or creates it",
        ),
        ({**PLAN, "parallel_limit": 0}, '"parallel_limit": 0'),
        ({"batch_workflow": PLAN, "nmae": 1}, '"nmae": 1 | unknown field `nmae`'),
        (retried(max_attempts=0), '"max_attempts": 0 | '),
        (retried(max_attemps=2), '"max_attemps": 2 | unknown field'),
        (retried(backoff="rare"), '"backoff": "rare" | `backoff` must be linear or'),
        (
            {**PLAN, "retry_policy": 5},
            '"retry_policy": 5, | `retry_policy` must be a rec',
        ),
        (
            {**PLAN, "configuration": 5},
            '"configuration": 5 | `configuration` must be a r',
        ),
        (
            {"operations": PLAN["operations"], "rollback_enabled": "false"},
            '"rollback_enabled": "false" | `rollback_enabled` must be true or false',
        ),
        (
            {**PLAN, "rollback_strategy": {"enabled": 1}},
            '"enabled": 1 | `enabled` must be true or false',
        ),
        (
            changed(parallel="no"),
            '"parallel": "no", | `parallel` must be true or false',
        ),
        (changed(max_retries=-1), '"max_retries": -1 | `max_retries` must be a whole'),
    ],
)
def test_mistake_has_its_location_in_the_file(
    tmp_path: Path, value: Mapping[str, Any], said: str
) -> None:
    found = mistakes(tmp_path, value)
    assert any(said in mistake for mistake in found), found


def test_mistake_in_shared_settings_is_reported_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, retried(max_attempts=0))) == 1


def test_null_is_the_same_as_missing(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("retry_policy", "rollback_strategy", "configuration"))
    first = dict.fromkeys(("providers", "depends_on", "timeout", "on_failure"))
    with_nulls = {**changed(**first), **nothing}
    without = {key: each for key, each in with_nulls.items() if each is not None}
    bare = {key: each for key, each in with_nulls["operations"][0].items() if each}
    without["operations"] = [{**bare, "parallel": False}, *PLAN["operations"][1:]]
    assert tasks_of(tmp_path, with_nulls) == tasks_of(tmp_path, without)


def test_parameters_are_beside_a_batch_or_in_it(tmp_path: Path) -> None:
    params = {"zone": "fi-hel1"}
    beside = loaded(tmp_path, {"params": params, "batch_workflow": PLAN}, [])
    inside = loaded(tmp_path, {"params": params, **PLAN}, [])
    assert beside.params == inside.params == params


def test_own_workflow_is_not_taken_for_a_platform_file() -> None:
    assert not is_platform_file({"tasks": {}, "operations": []})
    assert not is_platform_file([])
    assert is_platform_file({"nodes": []})


NAMES = st.sampled_from(["a", "b", "c", "web-1"])
OPERATIONS = st.fixed_dictionaries(
    {
        "id": NAMES,
        "type": st.sampled_from(["create", "delete", "check"]),
        "target": st.sampled_from(["server", "cluster"]),
        "items": st.lists(st.text(max_size=5) | NAMES, max_size=3),
    },
    optional={
        "providers": st.lists(NAMES, max_size=2),
        "parallel": st.booleans(),
        "timeout": st.integers(1, 900),
        "on_failure": st.sampled_from(["fail", "continue", "rollback"]),
        "depends_on": st.lists(NAMES, max_size=2, unique=True),
    },
)


@given(st.lists(OPERATIONS, min_size=1, max_size=4, unique_by=lambda op: op["id"]))
def test_every_translated_file_is_a_valid_workflow(
    operations: List[Dict[str, Any]],
) -> None:
    before = [operation["id"] for operation in operations]
    for index, operation in enumerate(operations):
        needs = operation.get("depends_on", [])
        operation["depends_on"] = [need for need in needs if need in before[:index]]
    problems = ValidationIssues()
    translation = convert_platform_file(
        {"name": "w", "operations": operations}, problems
    )
    _, tasks = flatten(translation.value, problems)
    assert problems.found == []
    assert {task.id for task in tasks if task.parent is None} == set(before)
