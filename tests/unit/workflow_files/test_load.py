"""Loading valid JSON and TOML files: nesting, names, defaults, parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

import pytest

from provctl.core.model.workflow import (
    Command,
    Dependency,
    NushellCall,
    RetryPolicy,
    Script,
    SubWorkflow,
    Task,
    Workflow,
)
from provctl.errors import InvalidWorkflow
from provctl.workflow_files.load import LoadContext, load_workflow

if TYPE_CHECKING:
    from pathlib import Path

TRUE = {"command": ["true"]}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load_document(
        document: Any,
        params: Optional[Mapping[str, str]] = None,
        pools: Optional[Mapping[str, int]] = None,
    ) -> Workflow:
        path = tmp_path / "w.json"
        path.write_text(json.dumps(document))
        context = LoadContext(cwd="/work", environment={"A": "b"}, known_pools=pools)
        return load_workflow(path, params or {}, context=context)

    return load_document


def said(load: Any, document: Any, **extra: Any) -> List[str]:
    with pytest.raises(InvalidWorkflow) as caught:
        load(document, **extra)
    return [f"{m.message} | {m.hint}" for m in caught.value.mistakes]


def by_id(workflow: Workflow) -> Dict[str, Task]:
    assert [task.index for task in workflow.tasks] == list(range(len(workflow.tasks)))
    return {task.id: task for task in workflow.tasks}


def test_every_field_of_a_workflow_and_a_task_is_read(
    load: Any, tmp_path: Path
) -> None:
    workflow = load(
        {
            "name": "all",
            "description": "d",
            "params": {"zone": "x"},
            "timeout": "1h",
            "library": "lib",
            "tasks": {
                "a": {
                    "call": {
                        "module": "servers/create.nu",
                        "command": "create-server",
                        "args": ["web", 1],
                        "flags": {"zone": "x"},
                    },
                    "priority": -5,
                    "timeout": 90,
                    "retry": {
                        "attempts": 5,
                        "delay": "5s",
                        "factor": 2,
                        "max_delay": "1m",
                        "jitter": 0.5,
                    },
                    "env": {"A": "x", "B": 1},
                    "pools": {"cloud": 2},
                    "on_failure": "continue",
                    "on_interrupt": "rerun",
                    "idempotent": True,
                    "keep_processes": True,
                    "description": "makes one",
                },
                "b": {
                    "script": "print hi",
                    "args": {"n": 1},
                    "needs": ["a", {"task": "c", "on": "done"}],
                    "when": {"$equals": [1, 1]},
                },
                "c": TRUE,
            },
        }
    )
    a = Task(
        id="a",
        index=0,
        action=NushellCall(
            "servers/create.nu", "create-server", ("web", 1), {"zone": "x"}
        ),
        priority=-5,
        timeout_s=90.0,
        retry=RetryPolicy(5, 5.0, 2.0, 60.0, 0.5),
        env={"A": "x", "B": 1},
        pools={"cloud": 2},
        on_failure="continue",
        on_interrupt="rerun",
        idempotent=True,
        keep_processes=True,
        description="makes one",
    )
    b = Task(
        id="b",
        index=1,
        action=Script("print hi", {"n": 1}, line=1),
        needs=(Dependency("a"), Dependency("c", "done")),
        when={"$equals": [1, 1]},
    )
    assert workflow == Workflow(
        name="all",
        tasks=(a, b, Task("c", 2, Command(("true",)))),
        params={"zone": "x"},
        timeout_s=3600.0,
        description="d",
        library=str(tmp_path / "lib"),
        cwd="/work",
        environment={"A": "b"},
        source=str(tmp_path / "w.json"),
    )


def test_file_name_is_the_default_name_of_the_workflow(load: Any) -> None:
    assert load({"tasks": {}}).name == "w"


def test_task_list_keeps_its_order(load: Any) -> None:
    workflow = load({"tasks": [{"id": "z", **TRUE}, {"id": "a", **TRUE}]})
    assert [task.id for task in workflow.tasks] == ["z", "a"]


def test_nested_workflow_is_a_group_followed_by_its_tasks(load: Any) -> None:
    inner = {
        "timeout": "5m",
        "tasks": {"etcd": TRUE, "api": {**TRUE, "needs": ["etcd"]}},
    }
    tasks = by_id(
        load({"tasks": {"k8s": {"workflow": inner, "needs": ["vm"]}, "vm": TRUE}})
    )
    assert list(tasks) == ["k8s", "k8s/etcd", "k8s/api", "vm"]
    assert tasks["k8s"].action == SubWorkflow()
    assert tasks["k8s"].timeout_s == 300.0
    assert tasks["k8s"].needs == (Dependency("vm"),)
    assert tasks["k8s/api"].parent == "k8s"
    assert tasks["k8s/api"].needs == (Dependency("k8s/etcd"),)


def test_name_refers_to_the_nearest_task(load: Any) -> None:
    deepest = {"tasks": {"x": {**TRUE, "needs": ["a", "b", "c"]}, "c": TRUE}}
    middle = {"tasks": {"h": {"workflow": deepest}, "b": TRUE, "c": TRUE}}
    tasks = by_id(
        load({"tasks": {"g": {"workflow": middle}, "a": TRUE, "b": TRUE, "c": TRUE}})
    )
    assert tasks["g/h/x"].needs == (
        Dependency("a"),
        Dependency("g/b"),
        Dependency("g/h/c"),
    )


def test_defaults_fill_missing_fields_of_tasks(load: Any) -> None:
    inner = {
        "defaults": {"timeout": "1m", "env": {"B": "inner"}},
        "tasks": {"t": {**TRUE, "env": {"C": "task"}}},
    }
    tasks = by_id(
        load(
            {
                "defaults": {
                    "timeout": "9m",
                    "priority": 3,
                    "env": {"A": "outer", "B": "outer", "C": "outer"},
                    "retry": {"attempts": 2},
                },
                "tasks": {"g": {"workflow": inner}, "o": {**TRUE, "priority": 0}},
            }
        )
    )
    t = tasks["g/t"]
    assert (t.timeout_s, t.priority, t.retry.attempts) == (60.0, 3, 2)
    assert t.env == {"A": "outer", "B": "inner", "C": "task"}
    assert (tasks["o"].timeout_s, tasks["o"].priority) == (540.0, 0)
    # A group runs nothing itself.
    assert (tasks["g"].timeout_s, tasks["g"].retry.attempts) == (None, 1)


def test_use_of_an_output_implies_a_dependency_on_success(load: Any) -> None:
    def out(task: str, path: str = "") -> Any:
        return {"$output": {"task": task, "path": path}}

    tasks = by_id(
        load(
            {
                "tasks": {
                    "a": {"script": "1"},
                    "b": {"script": "1"},
                    "c": {"script": "1"},
                    "g": {"workflow": {"tasks": {"in": {"script": "1"}}}},
                    "use": {
                        "command": ["echo", {"$format": ["{}", [out("a", "x")]]}],
                        "env": {"B": out("b")},
                        "needs": [{"task": "c", "on": "failure"}],
                        "when": {"$equals": [out("c"), out("g", "in.x")]},
                    },
                }
            }
        )
    )
    assert tasks["use"].needs == (
        Dependency("c", "failure"),
        Dependency("b"),
        Dependency("a"),
        Dependency("g"),
    )


def test_references_are_renamed_with_their_tasks(load: Any) -> None:
    inner = {
        "tasks": {
            "a": {"script": "1"},
            "b": {"script": "1", "args": {"x": {"$output": {"task": "a"}}}},
        }
    }
    action = by_id(load({"tasks": {"g": {"workflow": inner}}}))["g/b"].action
    assert action == Script("1", {"x": {"$output": {"task": "g/a"}}})


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("servers/create.nu", "server_create_workflow"),
        ("servers/create.nu", "on_servers"),
        ("servers.nu", "main create"),
        ("core/my servers", "server list"),
    ],
)
def test_call_accepts_the_names_that_nushell_accepts(
    load: Any, module: str, command: str
) -> None:
    call = {"module": module, "command": command, "flags": {"dry_run": True}}
    action = by_id(load({"tasks": {"a": {"call": call}}}))["a"].action
    assert action == NushellCall(module, command, (), {"dry_run": True})


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ({"-a": TRUE}, "`-a` is not a valid task id | use up to 200 letters"),
        ({"a/b": TRUE}, "`a/b` is not a valid task id"),
        ({"a" * 201: TRUE}, f"`{'a' * 201}` is not a valid task id | use up to 200"),
        (
            {"web-\u0430": TRUE},
            "`web-\u0430` (`\u0430` is U+0430) is not a valid task id",
        ),
        ({"web ": TRUE}, "`web ` is not a valid task id"),
        (
            {"a": {**TRUE, "timeout": "10"}},
            "`timeout` needs a unit, such as 10s or 10m",
        ),
        (
            {"a": {**TRUE, "retry": {"factor": 2}}},
            "task `a`: `retry` has `factor`, which has no effect without `delay`",
        ),
        ({"a": {**TRUE, "retry": {"jitter": 0.1}}}, "no effect without `delay`"),
        ({"a": {**TRUE, "retry": {"max_delay": "9s"}}}, "no effect without `delay`"),
        ({"a": {**TRUE, "retry": {"on": []}}}, "`retry.on` is empty: remove it"),
        (
            {"a": {**TRUE, "env": {"PROVCTL_RUN": "x"}}},
            "`env` has `PROVCTL_RUN`, which provctl sets itself",
        ),
        (
            {"a": {**TRUE, "secrets": {"PROVCTL_TASK_ID": "env:X"}}},
            "`secrets` has `PROVCTL_TASK_ID`, which provctl sets itself",
        ),
        (
            {"a": {**TRUE, "env": {"A": "x"}, "secrets": {"A": "env:B"}}},
            "task `a`: `A` is in `env` and in `secrets`",
        ),
        ({"a": 5}, "task `a` must be a record, not a number"),
        ([5], "a task in a list must be a record with its `id`"),
        (5, "`tasks` must be a record or a list of records, not a number"),
        ({"a": {"call": {"command": "x"}}}, "task `a`: `call` has no `module`"),
        ({"a": {"call": {"module": "../x.nu", "command": "a"}}}, "below the library"),
        ({"a": {"call": {"module": "/x.nu", "command": "a"}}}, "below the library"),
        (
            {"a": {"call": {"module": "x.nu", "command": "a;b"}}},
            "must be a command such as create-server",
        ),
        (
            {"a": {"call": {"module": "x.nu", "command": "a", "flags": {"-z": 1}}}},
            "has `-z`, which is not a flag",
        ),
        (
            {"a": {"call": {"module": "x.nu", "command": "a", "flags": {"help": 1}}}},
            "has `help`, which is not a flag",
        ),
        ({"a": {"script": "  "}}, "`script` is empty"),
        ({"a": {"script": "x" * 70_000}}, "larger than 64 KiB"),
        (
            {"a": {"command": ["a", None]}},
            "has null for an argument, which must be text or a number",
        ),
        ({"a": {"command": ["a\0b"]}}, "has a NUL character in an argument"),
        ({"a": {"command": [""]}}, "must begin with the program to run"),
        (
            {"a": {**TRUE, "env": {"A-B": 1}}},
            "has `A-B`, which is not a valid variable name",
        ),
        (
            {"a": {**TRUE, "args": {}}},
            "`args` is only allowed with `script` | add it to",
        ),
        ({"a": {**TRUE, "retry": {"attempts": 0}}}, "must be at least 1"),
        ({"a": {**TRUE, "retry": {"jitter": 1.5}}}, "must be at most 1"),
        ({"a": {**TRUE, "priority": "1"}}, "must be a whole number, not text"),
        ({"a": {**TRUE, "priority": 1.5}}, "must be a whole number, not a number"),
        ({"a": {**TRUE, "timeout": 0}}, "must be longer than 0 seconds"),
        (
            {"a": {**TRUE, "on_failure": "stop"}},
            "must be 'fail', 'continue' or 'rollback'",
        ),
        ({"a": {**TRUE, "pools": {"x": 0}}}, "must take at least 1 of `x`"),
        ({"a": {**TRUE, "on_interrupt": "rerun"}}, "needs idempotent = true"),
        ({"a": {**TRUE, "when": "yes"}}, "a condition must be true, false or a record"),
        ({"a": {**TRUE, "needs": "b"}}, "`needs` must be a list, not text"),
        ({"a": {**TRUE, "needs": [{"task": "a", "on": "x"}]}}, "'success', 'failure'"),
        ({"a": {"command": ["echo", {"$outptu": 1}]}}, "unknown special record"),
        (
            {"a": {"workflow": {"tasks": {}}, "retry": {}}},
            "`retry` is not allowed on a nested workflow | set it on its tasks",
        ),
        (
            {"a": {"workflow": {"tasks": {}, "library": "x"}}},
            "library of the outermost",
        ),
        (
            {"a": TRUE, "b": {**TRUE, "needs": ["a", {"task": "a", "on": "done"}]}},
            "needs `a` twice: on success and on done",
        ),
        (
            {"g": {"workflow": {"tasks": {"x": {**TRUE, "needs": ["g"]}}}}},
            "task `g/x` needs `g`, the workflow it is part of",
        ),
        (
            {
                "g": {"workflow": {"tasks": {"x": TRUE}}},
                "a": {**TRUE, "needs": ["g/x"]},
            },
            "needs `g/x`, which does not exist | a task inside a nested workflow",
        ),
        (
            {
                "g": {"workflow": {"tasks": {"web": {"script": "1"}}}},
                "a": {"script": "1", "when": {"$output": {"task": "g", "path": "wbe"}}},
            },
            "output of `wbe` in `g`, which does not exist | did you mean `web`?",
        ),
        (
            {
                "g": {"workflow": {"tasks": {"web": TRUE}}},
                "a": {
                    "script": "1",
                    "when": {"$output": {"task": "g", "path": "web.x"}},
                },
            },
            "uses the output of `g/web`, but a `command` has no output",
        ),
    ],
)
def test_mistake_in_a_task_is_reported(load: Any, tasks: Any, words: str) -> None:
    (mistake,) = said(load, {"tasks": tasks})
    assert words in mistake


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " web"}, "`name` begins or ends with a space"),
        ({"name": "  "}, "`name` begins or ends with a space"),
        ({"name": "a\nb"}, "invisible characters"),
        ({"name": "a\u202eb"}, "invisible characters"),
        ({"library": ""}, "`library` is empty"),
        ({"defaults": {"env": {"PROVCTL_TASK": "x"}}}, "which provctl sets itself"),
        (
            {"defaults": {"env": {"T": "x"}, "secrets": {"T": "env:T"}}},
            "task `a`: `T` is in `env` and in `secrets`",
        ),
    ],
)
def test_mistake_in_a_workflow_is_reported(load: Any, fields: Any, words: str) -> None:
    (mistake,) = said(load, {**fields, "tasks": {"a": TRUE}})
    assert words in mistake
    assert load({"name": "a b é", "tasks": {"a": TRUE}}).name == "a b é"


def test_length_of_ids_is_limited(load: Any) -> None:
    longest = "a" * 200
    assert list(by_id(load({"tasks": {longest: TRUE}}))) == [longest]

    def nested(levels: int) -> Any:
        tasks: Any = {longest: TRUE}
        for _ in range(levels):
            tasks = {longest: {"workflow": {"tasks": tasks}}}
        return {"tasks": tasks}

    assert max(map(len, by_id(load(nested(19))))) == 20 * 201 - 1 < 4_096
    assert "4095 characters" in said(load, nested(20))[0]


def test_use_with_a_default_waits_for_any_outcome(load: Any) -> None:
    optional = {"$output": {"task": "a", "default": 0}}
    tasks = {
        "a": {"script": "1"},
        "default": {"script": "1", "args": {"x": optional}},
        "outcome": {"command": ["echo", {"$outcome": "a"}]},
        "both": {
            "script": "1",
            "args": {"x": optional, "y": {"$output": {"task": "a"}}},
        },
        "said": {"script": "1", "args": {"x": optional}, "needs": ["a"]},
    }
    found = by_id(load({"tasks": tasks}))
    waits = {name: [n.on for n in found[name].needs] for name in list(tasks)[1:]}
    assert waits == {
        "default": ["done"],
        "outcome": ["done"],
        "both": ["success"],
        "said": ["success"],
    }


def test_references_are_renamed_in_a_nested_workflow(load: Any) -> None:
    inner = {
        "a": {"script": "1"},
        "b": {
            "command": ["echo", {"$outcome": "a"}],
            "env": {"X": {"$output": {"task": "a", "default": 0}}},
        },
    }
    found = by_id(load({"tasks": {"g": {"workflow": {"tasks": inner}}}}))
    assert found["g/b"].action == Command(("echo", {"$outcome": "g/a"}))
    assert found["g/b"].env["X"] == {"$output": {"task": "g/a", "default": 0}}


def test_defaults_cannot_use_an_output(load: Any) -> None:
    env = {"A": {"$output": {"task": "a"}}}
    (mistake,) = said(load, {"defaults": {"env": env}, "tasks": {"a": {"script": "1"}}})
    assert "`defaults`: `A` uses the output of a task" in mistake


def test_pool_must_be_configured_and_large_enough(load: Any) -> None:
    document = {
        "defaults": {"pools": {"clowd": 1}},
        "tasks": {"a": {**TRUE, "pools": {"cloud": 3}}, "b": TRUE},
    }
    assert said(load, document, pools={"cloud": 2}) == [
        "pool `clowd` is not configured | did you mean `cloud`?",
        "takes 3 of pool `cloud`, which has only 2 | ",
    ]
    assert load(document).tasks[1].pools == {"clowd": 1}


def test_parameters_replace_their_references(load: Any) -> None:
    document = {
        "params": {"zone": "a", "count": 1, "any": None, "text": "7"},
        "tasks": {
            "t": {
                "script": "1",
                "args": {
                    "z": {"$param": "zone"},
                    "c": [{"$param": "count"}, {"$param": "any"}, {"$param": "text"}],
                    "l": {"$literal": {"$param": "zone"}},
                },
            }
        },
    }
    workflow = load(
        document, {"zone": "5", "count": "2", "any": "[1, true]", "text": "8"}
    )
    assert workflow.tasks[0].action.args == {
        "z": "5",
        "c": [2, [1, True], "8"],
        "l": {"$literal": {"$param": "zone"}},
    }
    assert workflow.params["count"] == 2


def test_unused_parameter_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    text = '{"params": {"a": 1, "b": 1}, "tasks": {"t": {"script": "1", "args": {"x": {"$param": "a"}}}}}'
    path.write_text(text)
    told: List[str] = []
    context = LoadContext(cwd="/", tell=told.append)
    load_workflow(path, {"a": "2"}, context=context)
    assert told == []
    load_workflow(path, {"a": "2", "b": "2"}, context=context)
    assert told == [f"{path}: -p b: the file does not use `b`"]


def test_parameter_from_a_flag_is_never_an_expression(load: Any) -> None:
    document = {"params": {"x": None}, "tasks": {}}
    text = '{"$output": {"task": "a"}}'
    assert load(document, {"x": text}).params == {"x": text}


def test_mistakes_in_parameters_are_reported(load: Any) -> None:
    document = {
        "params": {"count": 1},
        "tasks": {"a": {"command": ["echo", {"$param": "cuont"}]}},
    }
    assert said(load, document, params={"count": "x"}) == [
        "-p count=x: the parameter must be a number | ",
        "no parameter `cuont` is declared | did you mean `count`?",
    ]


def written(path: Path, depth: int) -> Path:
    """A file nested deeper than json.dumps can write."""
    before, after = '{"tasks": {"g": {"workflow": ' * depth, "}}}" * depth
    path.write_text(f'{before}{{"tasks": {{"a": {{"command": ["true"]}}}}}}{after}')
    return path


@pytest.mark.parametrize("depth", [200, 1_000])
def test_deep_workflow_does_not_overflow_the_stack(tmp_path: Path, depth: int) -> None:
    path = written(tmp_path / "w.json", depth)
    workflow = load_workflow(path, {}, context=LoadContext(cwd="/"))
    assert workflow.tasks[-1].id == "g/" * depth + "a"


def test_nesting_depth_is_limited(tmp_path: Path) -> None:
    path = written(tmp_path / "w.json", 1_100)
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(path, {}, context=LoadContext(cwd="/"))
    (mistake,) = caught.value.mistakes
    assert "workflows are nested too deeply" in mistake.message


def test_long_chain_does_not_overflow_the_stack(load: Any) -> None:
    chain = {
        f"t{i}": {**TRUE, "needs": [f"t{i - 1}"] if i else []} for i in range(10_000)
    }
    assert len(load({"tasks": chain}).tasks) == 10_000


def test_number_of_tasks_is_limited(load: Any) -> None:
    tasks = [{"id": str(i), "script": "1"} for i in range(100_001)]
    assert said(load, {"tasks": tasks}) == [
        "the workflow has more than 100000 tasks | "
    ]


def test_many_mistakes_are_all_reported(load: Any) -> None:
    tasks = {f"t{i}": {**TRUE, "needs": [f"x{i}"]} for i in range(2_000)}
    assert len(said(load, {"tasks": tasks})) == 2_000
