"""Tasks that depend on an undone task are stale: retried, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def deployment(provctl: Provctl) -> Path:
    """A server with a new number, its users, and `app`, which fails without `ok`."""
    folder = provctl.folder
    count = f"(try {{ open --raw '{folder}/n' }} catch {{ '0' }} | into int) + 1"
    tasks: Dict[str, Any] = {
        "server": {
            "script": f"let n = {count}; $n | save -f '{folder}/n'; {{id: $n}}",
            "undo": {"command": ["true"]},
        },
        "configure": {
            "args": {"id": {"$output": {"task": "server", "path": "id"}}},
            "script": "{configured: $args.id}",
        },
        "app": {
            "needs": ["configure"],
            "command": ["test", "-e", f"{folder}/ok"],
        },
    }
    return provctl.file(tasks, name="deployment")


@pytest.fixture
def gone(provctl: Provctl) -> str:
    """A run whose server was undone."""
    provctl("run", deployment(provctl), code=10)
    run = provctl.runs()[0]
    assert provctl("workflow", "outputs", run, "configure").json() == {"configured": 1}
    provctl("workflow", "rollback", run, "--yes", "-w")
    return run


def test_retry_runs_tasks_that_used_the_undone_server(
    provctl: Provctl, gone: str
) -> None:
    rows = provctl("retry", gone, "--plan", "-o", "json").json()
    assert {row["id"]: row["what"] for row in rows} == {
        "server": "runs again: it was undone",
        "configure": "runs again: it succeeded, but depends on server, which was undone",
        "app": "runs again: it failed",
    }
    (provctl.folder / "ok").touch()
    provctl("retry", gone, "--yes", "-w")
    assert provctl.status(gone)["outcome"] == "succeeded"
    outputs = provctl("workflow", "outputs", gone).json()
    assert outputs == {"server": {"id": 2}, "configure": {"configured": 2}}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("server", "cannot be retried alone: configure depends on it"),
        ("configure", "needs server, but server was undone"),
        ("app", "needs configure, but configure depends on server, which was undone"),
    ],
)
def test_partial_retry_of_a_stale_task_is_refused(
    provctl: Provctl, gone: str, task: str, said: str
) -> None:
    before = provctl.journal(gone)
    err = provctl("retry", gone, "--only", task, "--yes", code=41).err
    assert f"task {task} {said}" in err
    assert f"provctl retry {gone}" in err
    assert provctl.journal(gone) == before


def test_no_verb_shows_a_stale_task_as_a_plain_success(
    provctl: Provctl, gone: str
) -> None:
    stale = "depends on server, which was undone"
    tasks = {task["id"]: task for task in provctl.status(gone)["tasks"]}
    assert tasks["configure"]["reason"] == stale
    assert [name for name, task in tasks.items() if task["stale"]] == ["configure"]
    assert "succeeded, stale" in provctl("status", gone).out
    assert stale in provctl("explain", f"{gone}/configure").out
    assert "succeeded stale" in provctl("graph", gone).out
    said = provctl("workflow", "outputs", gone)
    assert said.json() == {"configure": {"configured": 1}}
    assert f"configure {stale}" in said.err
    err = provctl("workflow", "outputs", gone, "server", code=40).err
    assert "server has no output: it was undone" in err


def test_retry_starts_a_task_that_waits_for_its_retry_delay(provctl: Provctl) -> None:
    ok = provctl.folder / "ok"
    task = {
        "command": ["test", "-e", str(ok)],
        "retry": {"attempts": 3, "delay": "1h"},
    }
    run = provctl("submit", provctl.file({"a": task}), "-o", "name").last_word
    provctl("wait", run + "/a", "--for", "retrying")
    (row,) = provctl("retry", run, "--plan", "-o", "json").json()
    assert row["what"] == "starts now instead of waiting for its next attempt"
    ok.touch()
    provctl("retry", run, "--only", "a", "--yes", "-w")
    assert provctl.status(run)["tasks"][0]["attempts"] == 2
    assert "has nothing to retry" in provctl("retry", run, "--yes", code=41).err
