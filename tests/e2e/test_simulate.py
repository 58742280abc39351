"""`provctl simulate`: predicted durations, compared with real runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from provctl.core.engine.events import AttemptFinished, AttemptStarted, RunFinished
from provctl.core.model.attempt_result import AttemptResult
from provctl.storage.layout import StateDir
from tests.support.installed import ROOT
from tests.support.run_folders import append, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.events import Event
    from tests.support.installed import Provctl


def naps(provctl: Provctl, seconds: float = 0.4) -> Path:
    """Six tasks that sleep, and one after them."""
    tasks: Dict[str, Any] = {
        f"nap-{n}": {"command": ["sleep", str(seconds)]} for n in range(6)
    }
    tasks["end"] = {"command": ["true"], "needs": list(tasks)}
    return provctl.file(tasks, "naps")


def test_simulate_assumes_durations_without_history_and_runs_nothing(
    provctl: Provctl,
) -> None:
    file = naps(provctl)
    done = provctl("simulate", file, "--jobs", "1,3,6,12")
    assert "no earlier runs, assumed duration 1s: nap-0, nap-1" in done.err
    assert "and 2 more" in done.err
    rows = [line.split() for line in done.out.splitlines()[1:5]]
    assert [row[:3] for row in rows] == [
        ["1", "7s", "1.0x"],
        ["3", "3s", "2.3x"],
        ["6", "2s", "3.5x"],
        ["12", "2s", "3.5x"],
    ]
    assert "more than 6 jobs do not help: the critical path is the limit" in done.out
    assert provctl.runs() == []
    told = provctl(
        "simulate",
        file,
        "--default-duration",
        "10s",
        "--duration",
        "end=1m",
        "-o",
        "json",
    ).json()
    assert told["simulations"][0]["makespan_s"] == 120
    assert "end" not in told["assumed"]["tasks"]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_simulation_matches_the_real_run(provctl: Provctl, jobs: int) -> None:
    file = naps(provctl)
    provctl("run", file, "-j", "6")  # so that the times are known
    provctl("run", file, "-j", str(jobs))
    told = provctl("simulate", file, "--jobs", str(jobs), "-o", "json").json()
    records = provctl.status("@last")
    makespan_s = told["simulations"][0]["makespan_s"]
    # None naps for less; a busy machine lets it wake up later, and start the next so.
    assert makespan_s > 6 / jobs * 0.39
    assert 1 / 3 < makespan_s / _took_s(records) < 2


def test_simulate_run_with_other_jobs_prints_its_schedule(provctl: Provctl) -> None:
    provctl("run", naps(provctl, 0.1))
    out = provctl("simulate", "@last", "--jobs", "2", "--gantt").out
    assert "with 2 jobs; # marks the critical path" in out
    assert out.count("=") > 10
    told = provctl("simulate", "@last", "--jobs", "2", "--gantt", "-o", "jsonl").json()
    assert [each["task"] for each in told["schedule"][:3]] == [
        "nap-0",
        "nap-1",
        "nap-2",
    ]
    assert provctl("simulate", "@last", "--jobs", "3,1", "-o", "name").out == "3\n1\n"


def test_simulate_respects_configured_pools(provctl: Provctl) -> None:
    tasks = {name: {"command": ["true"], "pools": {"disk": 1}} for name in "abcd"}
    file = provctl.file(tasks)
    config = provctl.text("pools.toml", "pools.disk = 2\n")
    done = provctl("simulate", file, "--jobs", "4", "--config", config)
    assert "pool disk" in done.out
    assert "4     2s" in done.out


def test_wrong_simulate_options_are_refused(provctl: Provctl) -> None:
    file = naps(provctl)
    for words, said in {
        ("--jobs", "4,x"): "not of the form 4,8,16",
        ("--jobs", "0"): "jobs must be from 1",
        ("--duration", "nap-0"): "not of the form TASK=TIME",
        ("--duration", "nope=1s"): "no task nope",
        ("--default-duration", "soon"): "must be a duration",
    }.items():
        assert said in provctl("simulate", file, *words, code=2).err
    provctl("run", file)
    assert "give the workflow file" in (
        provctl("simulate", "@last", "-p", "a=1", code=2).err
    )
    assert "not found" in provctl("simulate", "nope", code=40).err


def test_slack_is_shown_after_the_first_run(provctl: Provctl) -> None:
    tasks = {
        "short": {"command": ["true"]},
        "long": {"command": ["sleep", "1"]},
        "end": {"command": ["true"], "needs": ["short", "long"]},
    }
    file = provctl.file(tasks, "two")
    assert "SLACK" not in provctl("workflow", "plan", file).out
    provctl("run", file)
    told = {each["id"]: each for each in provctl.status("@last")["tasks"]}
    assert [name for name in told if told[name]["critical"]] == ["long", "end"]
    longer_s = _took_s(told["long"]) - _took_s(told["short"])
    assert told["short"]["slack_s"] == pytest.approx(longer_s, abs=0.01)
    planned = provctl("workflow", "plan", file, "-o", "json").json()
    assert {each["id"]: each["critical"] for each in planned} == {
        "short": False,
        "long": True,
        "end": True,
    }
    assert "SLACK" in provctl("workflow", "plan", file).out
    assert "s slack" in provctl("graph", "@last").out
    assert "on the critical path" in provctl("explain", "@last/long").out
    assert "slack:" in provctl("explain", "@last/short").out
    page = provctl.folder / "page.html"
    provctl("workflow", "report", "@last", "--html", page)
    assert ">Slack</th>" in page.read_text()


def test_explain_shows_the_slack_of_a_running_task(provctl: Provctl) -> None:
    tasks = {
        "slow": {"command": ["sleep", "600"]},
        "quick": {"command": ["sleep", "600"]},
        "end": {"command": ["true"], "needs": ["slow", "quick"]},
    }
    file = provctl.file(tasks, "once")
    _ran_once(provctl, {"slow": 600.0, "quick": 60.0, "end": 1.0})
    run = provctl.submit(file)
    provctl.until(lambda: len(provctl.journal(run)) >= 4, "both run")
    said = provctl("explain", f"{run}/slow").out
    assert "on the critical path: a delay of this task delays the run" in said
    assert "slack:" in provctl("explain", f"{run}/quick").out
    records = provctl.status(run)["tasks"]
    assert {each["slack_s"] for each in records} == {None}  # nobody knows yet
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


def test_every_example_can_be_simulated(provctl: Provctl) -> None:
    for file in sorted((ROOT / "examples").iterdir()):
        if file.is_file():
            told = provctl("simulate", file, "-o", "json").json()
            assert told["simulations"], file


def _ran_once(provctl: Provctl, took_s: Dict[str, float]) -> None:
    """Write a run of the workflow `once` to disk, with these durations."""
    folder = StateDir(provctl.state)
    folder.prepare()
    workflow = a_workflow(*(task(name) for name in took_s), name="once")
    facts: List[Event] = []
    for name, seconds in took_s.items():
        facts.append(AttemptStarted("before", 1000.0, name, 1))
        facts.append(
            AttemptFinished(
                *("before", 1000.0 + seconds, name, 1, "succeeded"),
                AttemptResult(0, None, 1000.0, 1000.0 + seconds),
            )
        )
    facts.append(RunFinished("before", 2000.0, "succeeded"))
    append(submit(folder, workflow, "before"), facts)


def _took_s(record: Dict[str, Any]) -> float:
    return _seconds(record["finished_at"]) - _seconds(record["started_at"])


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
