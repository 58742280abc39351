"""Deep and long workflows run without stack overflow: the reason provctl exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def test_a_workflow_nested_200_deep_runs(provctl: Provctl) -> None:
    inner: Dict[str, Any] = {"tasks": {"t": {"command": ["echo", "the bottom"]}}}
    for _ in range(200):
        inner = {"tasks": {"g": {"workflow": inner}}}
    run = provctl("run", provctl.file(inner["tasks"]), "-o", "json").json()
    assert run["counts"] == {"succeeded": 201}
    task = "g/" * 200 + "t"
    assert provctl("logs", run["id"], task).out == "the bottom\n"


def test_a_nickel_file_nested_200_deep_runs(provctl: Provctl) -> None:
    text = 'let p = import "provctl.ncl" in '
    text += "{ tasks.g.workflow = " * 200
    text += '{ tasks.t.command = ["true"] }' + " }" * 200 + " | p.Workflow"
    file = provctl.text("deep.ncl", text)
    run = provctl("run", file, "-o", "json").json()
    assert run["counts"] == {"succeeded": 201}


def test_a_chain_of_300_runs_in_order(provctl: Provctl) -> None:
    run = provctl("run", provctl.file(_chain(300)), "-o", "json").json()["id"]
    records = [
        (record["type"], record["task"])
        for record in provctl.journal(run)
        if record["type"] in ("attempt_started", "attempt_finished")
    ]
    expected = [
        (kind, f"t{n}")
        for n in range(300)
        for kind in ("attempt_started", "attempt_finished")
    ]
    assert records == expected


def test_failure_of_the_first_task_of_a_chain_skips_the_rest(provctl: Provctl) -> None:
    tasks = _chain(5_000)
    tasks["t0"]["command"] = ["false"]
    run = provctl("run", provctl.file(tasks), "-o", "json", code=10).json()
    assert run["counts"] == {"failed": 1, "skipped": 4_999}


def _chain(length: int) -> Dict[str, Any]:
    tasks: Dict[str, Any] = {
        f"t{n}": {"command": ["true"], "needs": [f"t{n - 1}"]} for n in range(length)
    }
    del tasks["t0"]["needs"]
    return tasks
