"""`provctl rollback` undoes tasks in reverse order, once, and names what remains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

import pytest

from tests.support.supervisors import kill_supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def site(provctl: Provctl, **changes: Any) -> Path:
    """A network, two servers on it with parallel undos, and an application.

    Each undo writes when it starts and ends; the servers wait for each other. The
    application fails unless there is a file `ok`; the log has no undo.
    """
    folder = provctl.folder

    def undo(name: str, other: Optional[str] = None) -> Dict[str, Any]:
        meet = f"until grep -q 'begin {other}' {folder}/undone; do sleep 0.02; done; "
        script = f"echo begin {name} >> {folder}/undone; {meet if other else ''}"
        return {"command": ["sh", "-c", f"{script}echo end {name} >> {folder}/undone"]}

    server = {
        "args": {"id": {"$output": {"task": "network", "path": "id"}}},
        "script": "{ ip: $'10.0.0.($args.id)' }",
    }
    tasks: Dict[str, Any] = {
        "network": {
            "script": "{ id: 7 }",
            "undo": {
                "args": {"id": {"$output": {"task": "network", "path": "id"}}},
                "script": f"$'begin network ($args.id)\nend network\n'"
                f" | save --append '{folder}/undone'",
            },
        },
        "one": {**server, "undo": undo("one", "two")},
        "two": {**server, "undo": undo("two", "one")},
        "log": {"command": ["true"]},
        "app": {
            "command": ["sh", "-c", f"test -e {folder}/ok"],
            "needs": ["one", "two"],
        },
    }
    for task, fields in changes.items():
        tasks[task] = {**tasks[task], **fields}
    return provctl.file(tasks, name="site")


def undone(provctl: Provctl) -> List[str]:
    """What the undos wrote, in order."""
    return (provctl.folder / "undone").read_text().splitlines()


def check_order(provctl: Provctl) -> None:
    """Check that the servers were undone in parallel, once, then the network."""
    lines = undone(provctl)
    assert sorted(lines[:2]) == ["begin one", "begin two"]
    assert sorted(lines[2:4]) == ["end one", "end two"]
    assert lines[4:] == ["begin network 7", "end network"]


ROLLS_BACK = {"app": {"on_failure": "rollback"}}


def test_failed_foreground_run_is_rolled_back(provctl: Provctl) -> None:
    out = provctl("workflow", "run", site(provctl, **ROLLS_BACK), code=14).out
    check_order(provctl)
    assert "  remains: log (no undo)\n" in out
    assert "  may remain: app (failed: exit code 1)\n" in out
    assert (
        out.index("app      failed") < out.index("is rolling back") < out.index("undo ")
    )


def test_failed_background_run_is_rolled_back(provctl: Provctl) -> None:
    run = provctl.submit(site(provctl, **ROLLS_BACK))
    for verb in ("wait", "monitor"):
        provctl("workflow", verb, run, code=14)
    check_order(provctl)
    assert provctl.status(run)["outcome"] == "rolled_back"
    said = provctl("workflow", "status", run).out
    assert "remains: log (no undo)" in said
    assert "may remain: app (failed: exit code 1)" in said


def test_successful_run_is_not_rolled_back(provctl: Provctl) -> None:
    (provctl.folder / "ok").touch()
    provctl("run", site(provctl, **ROLLS_BACK))
    assert not (provctl.folder / "undone").exists()


def test_rollback_plan_lists_the_undos(provctl: Provctl) -> None:
    provctl("run", site(provctl), code=10)
    run = provctl.runs()[0]
    before = provctl.journal(run)
    plan = provctl("workflow", "rollback", run, "--plan", "-o", "json").json()
    assert [(row["stage"], row["id"], row["what"]) for row in plan] == [
        (2, "one", "will be undone: it succeeded"),
        (2, "two", "will be undone: it succeeded"),
        (3, "network", "will be undone: it succeeded"),
        (None, "log", "not undone: it succeeded and has no undo"),
        (None, "app", "not undone: it failed and has no undo"),
    ]
    said = provctl("workflow", "rollback", run, code=2).err
    assert "one      will be undone: it succeeded" in said
    assert "add --yes" in said
    assert provctl.journal(run) == before
    # Asked for, a rollback that worked is a success.
    provctl("workflow", "rollback", run, "-w", "--yes")
    check_order(provctl)
    provctl("wait", run, code=14)
    said = provctl("workflow", "rollback", run, code=41).err
    assert "has nothing to undo" in said
    check_order(provctl)


def test_rollback_to_a_task_undoes_only_what_came_after_it(provctl: Provctl) -> None:
    provctl("run", site(provctl), code=10)
    run = provctl.runs()[0]
    provctl("workflow", "rollback", run, "--to", "network", "-w", "--yes")
    assert sorted(undone(provctl)) == ["begin one", "begin two", "end one", "end two"]
    assert "remains: network (not part of the rollback)" in (
        provctl("workflow", "status", run).out
    )
    # The rest can be undone later, and by then what is undone is left alone.
    provctl("workflow", "rollback", run, "-w", "--yes")
    check_order(provctl)
    provctl("workflow", "rollback", run, "--to", "nope", code=40)


def test_rollback_asks_at_a_terminal(provctl: Provctl) -> None:
    provctl("run", site(provctl), code=10)
    with provctl.terminal("workflow", "rollback", "@last", "-w") as terminal:
        terminal.read_until("continue? [y/N]")
        terminal.press("n\n")
        assert terminal.wait() == 130
        assert "nothing was done" in terminal.plain
    assert not (provctl.folder / "undone").exists()
    with provctl.terminal("workflow", "rollback", "@last", "-w") as terminal:
        terminal.read_until("continue? [y/N]")
        terminal.press("y\n")
        assert terminal.wait() == 0
    check_order(provctl)


def test_failed_undo_is_reported_with_what_may_remain(provctl: Provctl) -> None:
    fix = provctl.folder / "fixed"
    undo = {"command": ["sh", "-c", f"echo no such disk; test -e {fix}"]}
    done = provctl(
        "run",
        site(provctl, two={"undo": undo}, one={"undo": undo}, **ROLLS_BACK),
        code=15,
    )
    run = provctl.runs()[0]
    assert done.out.splitlines()[-1] == (f"retry the rollback: provctl rollback {run}")
    for told in (done.out, provctl("workflow", "status", run).out):
        assert "  remains: network (the undo of " in told
        assert "  may remain: one (undo failed: exit code 1)\n" in told
        assert "  may remain: two (undo failed: exit code 1)\n" in told
        assert "  remains: log (no undo)\n" in told
    assert "    no such disk\n" in done.out
    provctl("wait", run, code=15)
    provctl("watch", run, code=15)
    provctl("workflow", "rollback", run, "-w", "--yes", code=15)
    fix.touch()
    provctl("workflow", "rollback", run, "-w", "--yes")
    assert undone(provctl) == ["begin network 7", "end network"]
    provctl("wait", run, code=14)


def test_retry_after_a_rollback_runs_the_undone_tasks(provctl: Provctl) -> None:
    run = provctl.submit(site(provctl, **ROLLS_BACK))
    provctl("wait", run, code=14)
    (provctl.folder / "ok").touch()
    provctl("retry", run, "-w")
    assert provctl.status(run)["counts"] == {"succeeded": 5}


def test_active_run_is_not_rolled_back(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    said = provctl("workflow", "rollback", run, code=41).err
    assert f"run {run} is running" in said
    assert "or cancel the run" in said
    provctl("cancel", run, "--now")


def test_batch_rollback_undoes_each_finished_run(provctl: Provctl) -> None:
    tasks = {
        "a": {
            "command": ["true"],
            "undo": {
                "command": ["sh", "-c", f"echo $PROVCTL_RUN >> {provctl.folder}/u"]
            },
        }
    }
    file = provctl.file(tasks)
    batch = provctl("batch", "submit", file, file).last_word
    provctl("wait", batch)
    provctl("batch", "rollback", batch, "-w", "--yes")
    assert sorted((provctl.folder / "u").read_text().split()) == provctl.runs()
    provctl("batch", "rollback", batch, code=41)


# -- crashes -------------------------------------------------------------------------------


def slow_undo(provctl: Provctl, **undo: Any) -> Path:
    """One server whose undo lasts until there is a file `go`."""
    folder = provctl.folder
    script = (
        f"echo begin >> {folder}/undone; until [ -e {folder}/go ]; do sleep 0.02; done;"
        f"echo end >> {folder}/undone"
    )
    tasks = {
        "net": {
            "command": ["true"],
            "undo": {"command": ["sh", "-c", f"echo net >> {folder}/undone"]},
        },
        "vm": {
            "command": ["true"],
            "needs": ["net"],
            "undo": {"command": ["sh", "-c", script], **undo},
        },
        "app": {"command": ["false"], "needs": ["vm"], "on_failure": "rollback"},
    }
    return provctl.file(tasks)


def test_undo_continues_after_its_owner_was_killed_and_runs_once(
    provctl: Provctl,
) -> None:
    run = provctl.submit(slow_undo(provctl))
    provctl.wait_for_text(provctl.folder / "undone", "begin")
    provctl.kill_scheduler()
    assert provctl.status(run)["status"] == "rolling_back"
    provctl("scheduler", "start")
    (provctl.folder / "go").touch()
    provctl("wait", run, code=14)
    assert undone(provctl) == ["begin", "end", "net"]
    assert "attempt_adopted" in [r["type"] for r in provctl.journal(run)]


def test_undo_that_finished_without_an_owner_runs_once(
    provctl: Provctl,
) -> None:
    run = provctl.submit(slow_undo(provctl))
    provctl.wait_for_text(provctl.folder / "undone", "begin")
    provctl.kill_scheduler()
    (provctl.folder / "go").touch()
    provctl.wait_for_text(provctl.folder / "undone", "end")
    provctl("scheduler", "start")
    provctl("wait", run, code=14)
    assert undone(provctl) == ["begin", "end", "net"]


@pytest.mark.parametrize(
    ("how", "code", "lines"),
    [
        ("rerun", 14, ["begin", "begin", "end", "net"]),
        ("accept", 14, ["begin", "net"]),
        ("fail", 15, ["begin"]),
    ],
)
def test_undo_with_an_unknown_result_is_on_hold(
    provctl: Provctl, how: str, code: int, lines: List[str]
) -> None:
    run = provctl.submit(slow_undo(provctl))
    provctl.wait_for_text(provctl.folder / "undone", "begin")
    provctl.kill_scheduler()
    kill_supervisor(provctl, run, 1, attempt=2, purpose="undo")
    provctl("scheduler", "start")
    provctl("wait", run, code=13)
    said = provctl("workflow", "status", run).out
    assert f"provctl resume {run} --accept vm" in said
    (provctl.folder / "go").touch()
    provctl("workflow", "resume", run, f"--{how}", "vm")
    provctl("wait", run, code=code)
    assert undone(provctl) == lines


def test_idempotent_undo_with_an_unknown_result_runs_again(provctl: Provctl) -> None:
    run = provctl.submit(slow_undo(provctl, idempotent=True))
    provctl.wait_for_text(provctl.folder / "undone", "begin")
    kill_supervisor(provctl, run, 1, attempt=2, purpose="undo")
    (provctl.folder / "go").touch()
    provctl("wait", run, code=14)
    assert undone(provctl)[-1] == "net"


def test_cancelled_rollback_reports_what_remains(provctl: Provctl) -> None:
    run = provctl.submit(slow_undo(provctl))
    provctl.wait_for_text(provctl.folder / "undone", "begin")
    provctl("cancel", run, "--now")
    provctl("wait", run, code=15)
    said = provctl("workflow", "status", run).out
    assert "remains: net (the rollback was cancelled)" in said
    assert "may remain: vm (undo failed" in said
