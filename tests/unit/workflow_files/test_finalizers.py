"""`finally` in workflow files: what becomes of it, and what is a mistake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, List, Tuple

import pytest

from provctl.core.model.graph import stages
from provctl.core.model.workflow import Command, Dependency
from provctl.errors import InvalidWorkflow
from provctl.workflow_files.load import LoadContext, load_workflow
from provctl.workflow_files.task_locations import locate_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import Workflow

TRUE = {"command": ["true"]}
RETURNS = {"script": "{ip: 1}"}
OUTCOME = {"$run": "outcome"}
CONTEXT = LoadContext(cwd="/work", environment={})


def output(of: str) -> Any:
    return {"$output": {"task": of}}


def load(folder: Path, document: Any) -> Workflow:
    path = folder / "w.json"
    path.write_text(json.dumps(document, indent=1))
    return load_workflow(path, {}, context=CONTEXT)


def test_they_come_after_the_tasks_of_their_level(tmp_path: Path) -> None:
    inner = {"tasks": {"x": TRUE}, "finally": [{"id": "y", **TRUE}]}
    workflow = load(
        tmp_path,
        {
            "finally": {
                "f": {**TRUE, "when": {"$equals": [OUTCOME, "failed"]}},
                "g": {**TRUE, "needs": [{"task": "f", "on": "done"}]},
            },
            "tasks": {"a": RETURNS, "n": {"workflow": inner}, "b": TRUE},
            "on_cancel": "rollback",
        },
    )
    found = [(task.id, task.finalizer) for task in workflow.tasks]
    assert found == [
        *(("a", False), ("n", False), ("n/x", False), ("n/y", True)),
        *(("b", False), ("f", True), ("g", True)),
    ]
    assert [task.index for task in workflow.tasks] == list(range(7))
    assert (workflow.on_cancel, workflow.on_timeout) == ("rollback", "stop")
    names = [[task.id for task in stage] for stage in stages(workflow.tasks)]
    assert names == [["a", "n", "b"], ["n/x"], ["n/y"], ["f"], ["g"]]


def test_a_use_of_an_output_is_no_need_but_among_finalizers(tmp_path: Path) -> None:
    workflow = load(
        tmp_path,
        {
            "tasks": {"a": RETURNS},
            "finally": {
                "f": {"script": "1", "args": {"a": output("a"), "o": OUTCOME}},
                "g": {"command": ["echo", output("f"), output("a")]},
            },
        },
    )
    _, f, g = workflow.tasks
    assert f.needs == ()
    assert g.needs == (Dependency("f"),)
    assert g.action == Command(("echo", output("f"), output("a")))


def test_defaults_that_roll_back_do_not_apply(tmp_path: Path) -> None:
    defaults = {"on_failure": "rollback", "timeout": 5}
    workflow = load(
        tmp_path, {"defaults": defaults, "tasks": {"a": TRUE}, "finally": {"f": TRUE}}
    )
    a, f = workflow.tasks
    assert (a.on_failure, f.on_failure, f.timeout_s) == ("rollback", "fail", 5.0)


def test_without_other_tasks_their_stage_is_the_first(tmp_path: Path) -> None:
    workflow = load(tmp_path, {"tasks": {}, "finally": {"f": TRUE}})
    assert [[task.id for task in stage] for stage in stages(workflow.tasks)] == [["f"]]


def test_a_finalizer_is_found_in_its_file(tmp_path: Path) -> None:
    inner = {"tasks": {"x": TRUE}, "finally": [{"id": "y", **TRUE}]}
    document = {"tasks": {"n": {"workflow": inner}}, "finally": {"f": TRUE}}
    load(tmp_path, document)
    places = locate_tasks(tmp_path / "w.json", {}, ["n/y", "f"], context=CONTEXT)
    lines = (tmp_path / "w.json").read_text().splitlines()
    assert '"f"' in lines[places["f"].line - 1]
    assert places["n/y"].line < places["f"].line


MISTAKES: List[Tuple[str, Any, str, str]] = [
    (
        "a task needs it",
        {"tasks": {"a": {**TRUE, "needs": ["f"]}}, "finally": {"f": TRUE}},
        "task `a` needs `f`, a finalizer, which runs after all tasks",
        '"f"',
    ),
    (
        "a task uses its output",
        {
            "tasks": {"a": {"command": ["echo", output("f")]}},
            "finally": {"f": RETURNS},
        },
        "task `a` uses the output of `f`, a finalizer, which runs after all tasks",
        "{",
    ),
    (
        "it needs a task",
        {"tasks": {"a": TRUE}, "finally": {"f": {**TRUE, "needs": ["a"]}}},
        "task `f` needs `a`, which is no finalizer",
        '"a"',
    ),
    (
        "it uses what is around its level",
        {
            "tasks": {
                "a": RETURNS,
                "n": {
                    "workflow": {
                        "tasks": {"x": TRUE},
                        "finally": {"f": {"command": ["echo", output("a")]}},
                    }
                },
            }
        },
        "task `n/f` uses the output of `a`, which is not of its level",
        "{",
    ),
    (
        "it is a nested workflow",
        {"tasks": {"a": TRUE}, "finally": {"f": {"workflow": {"tasks": {}}}}},
        "finalizer `f` cannot be a nested workflow",
        '"workflow"',
    ),
    (
        "it has an undo",
        {"tasks": {"a": TRUE}, "finally": {"f": {**TRUE, "undo": TRUE}}},
        "finalizer `f` cannot have an `undo`: it runs after a rollback",
        '"undo"',
    ),
    (
        "it rolls back",
        {"tasks": {"a": TRUE}, "finally": {"f": {**TRUE, "on_failure": "rollback"}}},
        'finalizer `f` cannot have on_failure = "rollback": it runs after a rollback',
        '"rollback"',
    ),
    (
        "its name is taken",
        {"tasks": {"f": TRUE}, "finally": {"f": TRUE}},
        "`tasks` and `finally` both have a task `f`",
        '"f"',
    ),
    (
        "a task asks how the run went",
        {"tasks": {"a": {**TRUE, "env": {"O": OUTCOME}}}},
        "task `a` uses a value of the run in `env`",
        "{",
    ),
    (
        "defaults do",
        {"tasks": {"a": TRUE}, "defaults": {"env": {"O": OUTCOME}}},
        "`defaults`: `O` uses a value of the run",
        "{",
    ),
    (
        "a probe does",
        {
            "tasks": {"a": TRUE},
            "finally": {"f": {**TRUE, "probe": {"command": ["ask", OUTCOME]}}},
        },
        "task `f` uses a value of the run in `probe`",
        "{",
    ),
    (
        "there is no such value",
        {"tasks": {}, "finally": {"f": {"command": ["echo", {"$run": "id"}]}}},
        'task `f`: `$run` takes "outcome" or "failed"',
        "{",
    ),
    (
        "finalizers that wait for one another",
        {
            "tasks": {"a": TRUE},
            "finally": {"f": {**TRUE, "needs": ["g"]}, "g": {**TRUE, "needs": ["f"]}},
        },
        "dependency cycle: f -> g -> f",
        '"g"',
    ),
    (
        "it is no record",
        {"tasks": {"a": TRUE}, "finally": "f"},
        "`finally` must be a record or a list of records, not text",
        '"f"',
    ),
    (
        "a policy inside",
        {"tasks": {"n": {"workflow": {"tasks": {}, "on_cancel": "rollback"}}}},
        "`on_cancel` cannot be set in a nested workflow",
        '"rollback"',
    ),
]


@pytest.mark.parametrize(
    ("document", "message", "marked"),
    [mistake[1:] for mistake in MISTAKES],
    ids=[mistake[0] for mistake in MISTAKES],
)
def test_a_mistake_has_its_place(
    tmp_path: Path, document: Any, message: str, marked: str
) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        load(tmp_path, document)
    (mistake,) = caught.value.mistakes
    assert mistake.message == message
    assert mistake.line
    assert mistake.source_line[mistake.column - 1 :].startswith(marked)


def test_a_real_cycle_beside_finalizers_is_told(tmp_path: Path) -> None:
    inner = {"tasks": {"x": {**TRUE, "needs": ["b"]}}, "finally": {"f": TRUE}}
    tasks = {"n": {"workflow": inner}, "b": {**TRUE, "needs": ["n"]}}
    with pytest.raises(InvalidWorkflow) as caught:
        load(tmp_path, {"tasks": tasks})
    (mistake,) = caught.value.mistakes
    assert mistake.message.startswith("dependency cycle: ")
