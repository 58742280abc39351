"""Durations for a simulation: given ones, those of a run, or those of earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

import pytest

from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import Command, Undo
from provctl.errors import UsageError
from provctl.runs.follow import Follower
from provctl.runs.history.estimates import median_durations
from provctl.runs.history.past_runs import tasks_of
from provctl.runs.history.simulation_study import (
    SimulationInput,
    SimulationOptions,
    SimulationStudy,
    play,
)
from tests.support.engine_driver import Dialogue
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, group, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.state import RunState
    from provctl.storage.layout import StateDir

WORKFLOW = a_workflow(task("a"), task("b"), group("g", ["a"]), task("g/c"))


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


def ran(folder: StateDir, run: str, took_s: float, tries: int = 1) -> RunState:
    """A run in which only `a` ran; its last attempt took so long."""
    kept = submit(folder, a_workflow(task("a")), run)
    at = 1000.0
    events: List[ev.Event] = []
    for number in range(1, tries + 1):
        events.append(ev.AttemptStarted(run, at, "a", number))
        well = number == tries
        end = at + took_s
        events.append(
            ev.AttemptFinished(run, end, "a", number, "succeeded" if well else "failed", result=AttemptResult(started_at=at, finished_at=end), retry_at=None if well else end)
        )  # fmt: skip
        if not well:
            events.append(ev.RetryDue(run, end, "a"))
        at = end
    append(kept, [*events, ev.RunFinished(run, at, "succeeded")])
    follower = Follower(kept)
    follower.read()
    return follower.run


def tried(
    folder: StateDir, run: Optional[RunState] = None, **asked: Any
) -> SimulationStudy:
    question = SimulationOptions(**{"jobs": (1, 2), **asked})
    return play(folder, SimulationInput(WORKFLOW, {}, run), question)


def spent(trial: SimulationStudy) -> Dict[str, float]:
    return dict(trial.without_limit.spent)


def test_each_task_takes_a_second_without_history(folder: StateDir) -> None:
    trial = tried(folder)
    assert spent(trial) == {"a": 1, "b": 1, "g/c": 1}
    assert trial.assumed == ["a", "b", "g/c"]
    assert [each.makespan_s for each in trial.simulations] == [3, 2]
    assert spent(tried(folder, default_s=30.0))["b"] == 30


def test_durations_come_from_earlier_runs(folder: StateDir) -> None:
    for number, took_s in enumerate((10.0, 20.0, 60.0)):
        ran(folder, f"r{number}", took_s)
    trial = tried(folder)
    # What never ran is like the others.
    assert spent(trial) == {"a": 20, "b": 20, "g/c": 20}
    assert trial.assumed == ["b", "g/c"]
    assert spent(tried(folder, pessimistic=True))["a"] == pytest.approx(52)
    assert spent(tried(folder, durations={"a": 5.0}))["a"] == 5


def test_durations_of_a_given_run_are_used(folder: StateDir) -> None:
    ran(folder, "before", 10)
    run = ran(folder, "this", 30)
    assert spent(tried(folder, run))["a"] == 30
    assert spent(tried(folder, run, pessimistic=True))["a"] == pytest.approx(28)


def test_duration_of_an_undo_is_not_used_for_its_task(folder: StateDir) -> None:
    dialogue = Dialogue()
    undone = a_workflow(task("a", undo=Undo(Command(("true",)))))
    dialogue.submit(undone)
    for line in ("wait 10", "a exits 0", "undo all", "wait 500", "a exits 0"):
        dialogue.hear(line)
    assert tasks_of(dialogue.r)["a"].outcome == "succeeded"
    assert tasks_of(dialogue.r)["a"].took_s is None


def test_only_the_latest_runs_of_a_large_workflow_are_read(folder: StateDir) -> None:
    for number, took_s in enumerate((500.0, 10.0, 20.0)):
        ran(folder, f"r{number}", took_s)
    assert median_durations(folder, "w") == {"a": 20}
    for number in (3, 4):
        large = submit(folder, a_workflow(task("a")), f"r{number}", tasks=15_000)
        append(
            large,
            [
                ev.AttemptStarted(large.id, 1000.0, "a", 1),
                ev.AttemptFinished(large.id, 1000.0 + number, "a", 1, "succeeded", result=AttemptResult(started_at=1000.0, finished_at=1000.0 + number)),
                ev.RunFinished(large.id, 1100.0, "succeeded"),
            ],
        )  # fmt: skip
    assert median_durations(folder, "w") == {"a": 4}


def test_unknown_task_is_refused(folder: StateDir) -> None:
    for wrong in ("x", "g"):
        with pytest.raises(UsageError, match=f"no task {wrong}"):
            tried(folder, durations={wrong: 1.0})


def test_study_ends_at_the_number_of_jobs_that_helps(folder: StateDir) -> None:
    assert tried(folder, jobs=(1,)).enough == 2
    assert tried(folder, jobs=(2, 50)).enough == 2
    long = {"a": 100.0}
    assert tried(folder, jobs=(2, 50), durations=long).enough == 2


def test_same_seed_gives_the_same_result(folder: StateDir) -> None:
    for number in range(4):
        ran(folder, f"r{number}", 10, tries=4)  # one try in four ends well
    seeds = [tried(folder, seed=seed) for seed in range(20)]
    outcomes = [trial.without_limit.outcome for trial in seeds]
    assert set(outcomes) == {"succeeded", "failed"}
    assert outcomes.count("failed") > outcomes.count("succeeded")
    for trial in seeds:
        assert {each.outcome for each in trial.simulations} == {
            trial.without_limit.outcome
        }
    again = [tried(folder, seed=seed).simulations for seed in range(20)]
    assert again == [trial.simulations for trial in seeds]
