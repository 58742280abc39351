"""Verbs that examine runs: explain, show, replay, diff, stats, graph, status."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TASKS = {
    "ok": {"command": ["true"]},
    "bad": {"command": ["sh", "-c", "echo no space left; exit 3"], "needs": ["ok"]},
    "never": {"command": ["true"], "needs": ["bad"]},
}


def failed_run(provctl: Provctl) -> str:
    provctl("run", provctl.file(TASKS), code=10)
    (run,) = provctl.runs()
    return run


def test_explain_names_the_root_cause_and_shows_the_end_of_its_log(
    provctl: Provctl,
) -> None:
    run = failed_run(provctl)
    for asked in ("@last", f"{run}/never", f"{run[:6]}/bad"):
        said = provctl("explain", asked).out
        assert "    | no space left\n" in said, said
        assert "exit code 3" in said
    (record,) = provctl("explain", "@last/never", "-o", "json").json()
    assert [each["kind"] for each in record["because"]] == ["skipped", "root_cause"]
    assert record["because"][1]["tasks"] == [{"run": run, "task": "bad"}]
    assert "no task nope" in provctl("explain", "@last/nope", code=40).err


def test_explain_of_a_waiting_run_names_the_busy_pool(provctl: Provctl) -> None:
    config = provctl.folder / "pools.toml"
    config.write_text("pools.disk = 1\n")
    env = {"PROVCTL_CONFIG": str(config)}
    gate = provctl.folder / "gate"
    hold = ["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done"]
    pools = {"pools": {"disk": 1}}
    tasks = {
        "a": {"command": hold, **pools},
        "b": {"command": ["true"], **pools},
        "c": {"command": ["true"], "needs": ["a"]},
    }
    run = provctl("workflow", "submit", provctl.file(tasks), env=env).last_word
    provctl.until(
        lambda: "it is running" in provctl("explain", f"{run}/a").out, "a runs"
    )
    # The limits are those of who owns the run, whoever asks.
    said = provctl("explain", f"{run}/b").out
    assert "pool disk: 1 of 1 in use; this task needs 1: a\n" in said
    assert "waiting for a (running)\n" in provctl("explain", f"{run}/c").out
    gate.touch()
    provctl("wait", run)
    assert "it succeeded" in provctl("explain", f"{run}/b").out


def test_explain_of_many_tasks_names_only_a_few(provctl: Provctl) -> None:
    tasks = {f"t{number:02}": {"command": ["sleep", "600"]} for number in range(12)}
    run = provctl.submit(provctl.file(tasks), "-j", "6")
    provctl.until(lambda: provctl.status(run)["counts"].get("running") == 6, "6 run")
    said = provctl("explain", run).out
    assert said.count(": running\n") == said.count(": ready\n") == 5
    assert said.endswith(
        f"and 1 running, 1 ready; to explain one: provctl explain {run}/TASK\n"
    )
    assert "it is running" in provctl("explain", f"{run}/t05").out
    provctl("cancel", run, "--now", "--reason", "seen enough")
    provctl("wait", run, code=11)
    said = provctl("explain", run).out
    assert f"{run}  cancelled: seen enough\n  cancelled after " in said


def test_explain_knows_the_slots_of_the_owner(provctl: Provctl) -> None:
    tasks = {name: {"command": ["sleep", "600"]} for name in "ab"}
    config = provctl.folder / "slots.toml"
    config.write_text("executor.max_concurrent_tasks = 1\n")
    env = {"PROVCTL_CONFIG": str(config)}
    submitted = provctl("workflow", "submit", provctl.file(tasks), env=env)
    run = submitted.last_word
    provctl.until(
        lambda: "it is running" in provctl("explain", f"{run}/a").out, "a runs"
    )
    assert "the only slot is taken: a" in provctl("explain", f"{run}/b").out
    provctl("cancel", run, "--now")


def test_show_at_prints_an_earlier_state_of_a_run(provctl: Provctl) -> None:
    run = failed_run(provctl)
    records = provctl.journal(run)
    kinds = [record["type"] for record in records]
    began = kinds.index("attempt_started") + 1
    then = provctl("workflow", "show", run, "--at", began, "-o", "json").json()
    now = provctl("workflow", "show", run, "-o", "json").json()
    assert (then["status"], now["outcome"]) == ("running", "failed")
    assert [task["status"] for task in then["tasks"]] == ["running"] + ["waiting"] * 2
    late = provctl("workflow", "show", run, "--at", len(records)).out
    assert "bad    failed" in late
    future = provctl("workflow", "show", run, "--at", "2199-01-01T00:00:00Z", code=2)
    assert "in the future" in future.err
    provctl("workflow", "show", run, "--at", "1999-01-01", code=40)
    provctl("workflow", "show", run, "--at", 999, code=40)
    assert (
        "neither a time" in provctl("workflow", "show", run, "--at", "noon", code=2).err
    )


def test_replay_needs_only_the_journal(provctl: Provctl) -> None:
    run = failed_run(provctl)
    provctl.log(run).unlink()
    again = provctl("workflow", "replay", run, "--speed", 1000).out
    lines = [line[9:] for line in again.splitlines() if re.match(r"\d\d:", line)]
    assert [line.split() for line in lines[:2]] == [
        ["ok", "started"],
        ["ok", "succeeded", "in", "0s"],
    ]
    assert f"run {run} (w) failed" in again


def test_diff_compares_two_runs(provctl: Provctl) -> None:
    one = failed_run(provctl)
    assert provctl("workflow", "diff", one, one).out == "no differences\n"
    changed = {
        **TASKS,
        "bad": {"command": ["true"], "needs": ["ok"]},
        "more": TASKS["ok"],
    }
    provctl("run", provctl.file(changed))
    rows = provctl("workflow", "diff", one, "@last", "-o", "json").json()
    found = {(row["what"], row["field"]): (row["first"], row["second"]) for row in rows}
    assert found["bad", "status"] == ("failed", "succeeded")
    assert found["bad", "action.argv"][1] == ["true"]
    assert found["more", "task"] == (None, "there")
    assert ("ok", "status") not in found


def test_stats_shows_workflows_and_tasks(provctl: Provctl) -> None:
    failed_run(provctl)
    rows = provctl("stats", "-o", "json").json()
    assert [(row["workflow"], row["runs"], row["success_rate"]) for row in rows] == [
        ("w", 1, 0.0)
    ]
    tasks = {row["task"]: row for row in provctl("stats", "w", "-o", "json").json()}
    assert tasks["ok"]["success_rate"] == 1.0
    assert tasks["never"]["runs"] == 0
    assert "SUCCEEDED" in provctl("stats").out
    provctl("stats", "nope", code=40)


def test_graph_draws_a_file_and_a_run(provctl: Provctl) -> None:
    file = provctl.file(TASKS)
    assert "  2 * bad  <- ok\n" in provctl("graph", file).out
    failed_run(provctl)
    assert "bad  failed" in provctl("graph", "@last").out
    assert provctl("graph", "@last", "-f", "svg").out.startswith("<svg ")
    assert provctl("graph", "@last", "-f", "dot").out.startswith("digraph ")
    assert "flowchart" in provctl("graph", "@last", "-f", "mermaid").out
    assert json.loads(provctl("workflow", "list", "-o", "json").out)


def test_status_shows_the_progress_of_a_task(provctl: Provctl) -> None:
    script = "echo 'PROGRESS: 30% unpacking'; echo ready; sleep 60"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.until_ready(run)
    assert "30% unpacking" in provctl("workflow", "status", run).out
    task = provctl.task(run, "a")
    assert (task["progress"], task["message"]) == (30, "unpacking")
    provctl("cancel", run)
    provctl("wait", run, code=11)
    ended = provctl("workflow", "status", run).out
    assert "unpacking" in ended  # the last that it said
    assert "30%" not in ended
