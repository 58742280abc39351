"""`provctl retry` runs failed tasks again; tasks that succeeded are not run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def chain(provctl: Provctl) -> Path:
    """Tasks a to d in a chain; c fails until there is a file `ok`."""
    folder = provctl.folder

    def does(task: str, first: str = "true") -> Dict[str, Any]:
        return {"command": ["sh", "-c", f"{first} && echo {task} >> {folder}/done"]}

    tasks = {
        "a": {"script": f"'a\n' | save --append '{folder}/done'; {{ id: 7 }}"},
        "b": {**does("b"), "needs": ["a"]},
        "c": {
            "needs": ["b"],
            "args": {"id": {"$output": {"task": "a", "path": "id"}}},
            "script": f"if not ('{folder}/ok' | path exists) {{ exit 3 }}"
            f"; $'c of ($args.id)\n' | save --append '{folder}/done'",
        },
        "d": {**does("d"), "needs": ["c"]},
    }
    return provctl.file(tasks, name="chain")


def done(provctl: Provctl) -> List[str]:
    """The tasks that finished, in order."""
    return (provctl.folder / "done").read_text().splitlines()


def mend(provctl: Provctl) -> None:
    """Let c succeed from now on."""
    (provctl.folder / "ok").touch()


@pytest.fixture
def failed(provctl: Provctl) -> str:
    """A run in which c failed and d was skipped."""
    provctl("workflow", "run", chain(provctl), code=10)
    assert done(provctl) == ["a", "b"]
    return provctl.runs()[0]


def test_retry_runs_failed_and_skipped_tasks(provctl: Provctl, failed: str) -> None:
    mend(provctl)
    said = provctl("workflow", "retry", failed, "-w").err
    assert said.splitlines() == [
        f"retry of run {failed}:",
        "  c  runs again: it failed",
        "  d  runs if its dependencies are met: it was skipped",
        "  2 unchanged",
        f"retry requested: {failed}",
    ]
    # The output of `a`, which did not run again, is used as it was.
    assert done(provctl) == ["a", "b", "c of 7", "d"]
    assert provctl.status(failed)["outcome"] == "succeeded"
    said = provctl("workflow", "retry", failed, code=41).err
    assert "has nothing to retry: no task failed" in said
    assert "--only TASK or --from TASK" in said
    assert done(provctl) == ["a", "b", "c of 7", "d"]


def test_retried_task_can_fail_again(provctl: Provctl, failed: str) -> None:
    provctl("retry", failed, "-w", "--failed", code=10)
    mend(provctl)
    provctl("retry", failed, "-w")
    assert done(provctl) == ["a", "b", "c of 7", "d"]


@pytest.mark.parametrize(
    ("options", "again"),
    [
        (["--only", "b"], ["b"]),
        (["--only", "d", "--only", "b"], ["b", "d"]),
        (["--from", "b"], ["b", "c of 7", "d"]),
        (["--only", "c", "--downstream"], ["c of 7", "d"]),
    ],
)
def test_retry_of_a_successful_run_runs_the_named_tasks(
    provctl: Provctl, options: List[str], again: List[str]
) -> None:
    mend(provctl)
    provctl("run", chain(provctl))
    run = provctl.runs()[0]
    (provctl.folder / "done").unlink()
    asked = provctl("retry", run, *options, "-w", code=2).err
    assert "runs again: it succeeded" in asked
    assert not (provctl.folder / "done").exists()
    provctl("retry", run, *options, "-w", "--yes")
    assert sorted(done(provctl)) == again  # `d` waits for no other that runs


def test_retry_plan_shows_skipped_tasks_with_reasons_and_changes_nothing(
    provctl: Provctl, failed: str
) -> None:
    before = provctl.journal(failed)
    out = provctl("retry", failed, "--only", "d", "--plan", "-o", "json").json()
    assert [(row["id"], row["what"]) for row in out] == [
        ("d", "will be skipped: it needs success of c, which failed"),
        ("a", "unchanged"),
        ("b", "unchanged"),
        ("c", "unchanged"),
    ]
    assert provctl.journal(failed) == before
    assert provctl.schedulers() == []


def test_refused_retry_changes_nothing(provctl: Provctl, failed: str) -> None:
    before = provctl.journal(failed)
    said = provctl("retry", failed, "--only", "nope", code=40).err
    assert f"run {failed} has no task nope" in said
    said = provctl("retry", failed, "--only", "a", "--from", "b", code=2).err
    assert "use only one of" in said
    assert provctl.journal(failed) == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 130)])
def test_retry_asks_at_a_terminal(
    provctl: Provctl, failed: str, answer: str, code: int
) -> None:
    mend(provctl)
    with provctl.terminal("retry", failed, "-w") as terminal:
        terminal.read_until("continue? [y/N]")
        terminal.press(f"{answer}\n")
        assert terminal.wait() == code
    assert provctl.status(failed)["outcome"] == ("failed" if code else "succeeded")


def test_retry_with_yes_does_not_ask_at_a_terminal(
    provctl: Provctl, failed: str
) -> None:
    mend(provctl)
    with provctl.terminal("retry", failed, "-w", "-y") as terminal:
        assert terminal.wait() == 0
        assert "continue?" not in terminal.plain


def test_retry_of_an_active_run_runs_its_failed_tasks(provctl: Provctl) -> None:
    go, ok = provctl.folder / "go", provctl.folder / "ok"
    wait = f"echo ready; until [ -e {go} ]; do sleep 0.02; done"
    tasks = {
        "slow": {"command": ["sh", "-c", wait]},
        "bad": {"command": ["sh", "-c", f"test -e {ok}"]},
        "last": {"command": ["true"], "needs": ["slow", "bad"]},
    }
    run = provctl.submit(provctl.file(tasks))
    provctl.until(lambda: provctl.task(run, "bad")["outcome"], "bad failed")
    # What runs is not touched, and cannot be named.
    said = provctl("retry", run, "--only", "slow", code=41).err
    assert "task slow is running" in said
    ok.touch()
    provctl("retry", run)
    provctl.until(lambda: provctl.task(run, "bad")["outcome"] == "succeeded", "again")
    go.touch()
    provctl("wait", run)
    assert provctl.task(run, "slow")["attempts"] == 1


def test_retry_of_a_cancelled_run_runs_its_cancelled_tasks(provctl: Provctl) -> None:
    go = provctl.folder / "go"
    script = f"echo ready; until [ -e {go} ]; do sleep 0.02; done"
    tasks = {
        "first": {"command": ["sh", "-c", f"echo x >> {provctl.folder}/done"]},
        "a": {"command": ["sh", "-c", script], "needs": ["first"]},
        "b": {"command": ["true"], "needs": ["a"]},
    }
    run = provctl.submit(provctl.file(tasks))
    provctl.until_ready(run, 1)
    provctl("cancel", run)
    provctl("wait", run, code=11)
    go.touch()
    provctl("retry", run, "-w")
    assert done(provctl) == ["x"]


def test_retry_works_after_the_scheduler_was_killed(
    provctl: Provctl, failed: str
) -> None:
    mend(provctl)
    provctl("scheduler", "start")
    provctl.kill_scheduler()
    provctl("retry", failed, "-w")
    assert done(provctl) == ["a", "b", "c of 7", "d"]


def test_retry_does_nothing_if_no_scheduler_may_start(
    provctl: Provctl, failed: str
) -> None:
    before = provctl.journal(failed)
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    provctl("retry", failed, env=off, code=30)
    assert provctl.journal(failed) == before
    assert list((provctl.state / "queue").iterdir()) == []


def test_batch_retry_retries_each_unsuccessful_run(provctl: Provctl) -> None:
    good = provctl.file(
        {"a": {"command": ["sh", "-c", f"echo g >> {provctl.folder}/g"]}}
    )
    batch = provctl("batch", "submit", chain(provctl), good).last_word
    provctl("wait", batch, code=10)
    mend(provctl)
    said = provctl("batch", "retry", batch, "-w").err
    assert said.count("retry requested") == 1
    assert done(provctl) == ["a", "b", "c of 7", "d"]
    assert (provctl.folder / "g").read_text() == "g\n"
    said = provctl("batch", "retry", batch, code=41).err
    assert "nothing to retry in these runs" in said


def test_batch_retry_skips_runs_with_nothing_to_retry(
    provctl: Provctl,
) -> None:
    batch = provctl("batch", "submit", chain(provctl), provctl.endless()).last_word
    failed, endless = provctl("batch", "status", batch, "-o", "name").out.split()
    provctl("wait", failed, code=10)
    provctl.until_ready(endless)
    mend(provctl)
    said = provctl("batch", "retry", batch).err
    assert f"retry requested: {failed}" in said
    assert endless not in said
    provctl("wait", failed)
    provctl("cancel", endless, "--now")


def test_watcher_of_a_reopened_run_sees_its_new_outcome(provctl: Provctl) -> None:
    go, ok = provctl.folder / "go", provctl.folder / "ok"
    tasks = {
        "slow": {"command": ["sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done"]},
        "bad": {"command": ["sh", "-c", f"test -e {ok}"]},
    }
    run = provctl.submit(provctl.file(tasks))
    provctl.until(lambda: provctl.task(run, "bad")["outcome"], "bad failed")
    with provctl.start("wait", run) as waits, provctl.start("watch", run) as watches:
        ok.touch()
        provctl("retry", run)
        provctl.until(lambda: provctl.task(run, "bad")["attempts"] == 1, "tried")
        go.touch()
        out, _ = watches.communicate(timeout=60)
        assert waits.wait(timeout=60) == 0
    assert watches.returncode == 0
    assert out.decode().count(f"run {run} (w) succeeded") == 1
    # And again, once it had ended.
    ok.unlink()
    provctl("retry", run, "--only", "bad", "-w", "-y", code=10)
    provctl("wait", run, code=10)


def test_retry_notes_that_the_file_has_changed(provctl: Provctl, failed: str) -> None:
    unchanged = provctl("workflow", "retry", failed, "--plan").err
    assert "changed" not in unchanged
    (file,) = provctl.folder.glob("chain*.json")
    file.touch()
    said = provctl("workflow", "retry", failed, "--plan").err
    told = f"note: {file} has changed since; retry uses the submitted version; to use the new one, submit it again\n"
    assert said == unchanged + told
