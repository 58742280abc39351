"""Why a task has its status, in every case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

import pytest

from provctl.core.analysis.explain import Reason, explain, root_causes
from provctl.core.engine.run_queue import SLOTS
from provctl.core.engine.view import task_view
from provctl.core.model.workflow import RetryPolicy
from tests.support.engine_driver import Dialogue
from tests.support.workflows import a_workflow, group, output, task

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState


def no_idea(_run: RunState, _task: TaskState) -> Optional[float]:
    return None


def after_a_minute(_run: RunState, task: TaskState) -> Optional[float]:
    return None if task.started_at is None else task.started_at + 60


def told(dialogue: Dialogue, *news: str) -> Dialogue:
    for line in news:
        dialogue.hear(line)
    return dialogue


def whys(dialogue: Dialogue, task_id: str, run: str = "r") -> List[str]:
    return [
        f"{because.kind}: {because.text}"
        for because in explain(dialogue.state, run, task_id, no_idea)
    ]


def begun(*tasks: Any, **fields: Any) -> Dialogue:
    dialogue = Dialogue(**fields)
    dialogue.submit(a_workflow(*tasks))
    return dialogue


def test_waiting_task_names_its_unmet_dependencies() -> None:
    chain = begun(task("a"), task("b"), task("c", ["a", ("b", "done")]))
    assert whys(chain, "c") == [
        "need: waiting for a (running)",
        "need: waiting for b to finish (running)",
    ]
    told(chain, "a exits 0")
    (need,) = explain(chain.state, "r", "c", after_a_minute)
    assert need == Reason(
        "need", "waiting for b to finish (running)", (("r", "b"),), 1060.0
    )


def test_finalizer_waits_for_all_tasks_of_its_level() -> None:
    first, last = task("f", finalizer=True), task("g", ["f"], finalizer=True)
    run = begun(
        task("a"), group("n"), task("n/b"), task("n/f", finalizer=True), first, last
    )
    assert whys(run, "f") == [
        "need: waits for all tasks of the run to end (4 have not)"
    ]
    assert whys(run, "n/f") == ["need: waits for all tasks of n to end (1 have not)"]
    told(run, "n/b exits 0", "n/f exits 0")
    assert whys(run, "f") == [
        "need: waits for all tasks of the run to end (1 have not)"
    ]
    told(run, "a exits 0")
    assert whys(run, "g") == ["need: waiting for f (running)"]


def test_task_waits_for_its_group_to_start() -> None:
    nested = begun(task("a"), group("g", ["a"]), task("g/x"))
    assert whys(nested, "g/x") == ["group: the nested workflow g has not started"]
    told(nested, "a exits 0")
    assert whys(nested, "g") == ["running: 1 of its 1 tasks have not finished"]
    assert whys(nested, "g/x") == ["running: it is running"]


def test_task_waits_for_slots_and_for_tasks_ahead() -> None:
    full = begun(task("a"), task("b"), task("c"), slots=1)
    (slots, behind) = explain(full.state, "r", "c", after_a_minute)
    assert slots == Reason("slots", "the only slot is taken", (("r", "a"),), 1060.0)
    assert behind == Reason(
        "behind", "1 task is ahead of it in the queue", (("r", "b"),)
    )
    assert whys(full, "b") == ["slots: the only slot is taken"]


def test_task_waits_for_a_pool_held_by_another_run() -> None:
    pool = {"aws": 2}
    dialogue = begun(task("a", pools={"aws": 2}), capacity=pool)
    dialogue.submit(a_workflow(task("x", pools={"aws": 1}), task("y")), run="other")
    assert whys(dialogue, "x", "other") == [
        "pool: pool aws: 2 of 2 in use; this task needs 1"
    ]
    (because,) = explain(dialogue.state, "other", "x", no_idea)
    assert because.tasks == (("r", "a"),)
    assert whys(dialogue, "y", "other") == ["running: it is running"]


def test_resources_of_other_owners_are_named() -> None:
    dialogue = Dialogue(
        capacity={"db": 2}, slots=2, lacking=frozenset({"slots", "pool:db"})
    )
    dialogue.submit(a_workflow(task("a", pools={"db": 1})))
    elsewhere = {
        "pool:db": {("far", "x"): 2},
        "slots": {("far", "x"): 1, ("w", "y"): 1},
    }
    slots, pool = explain(dialogue.state, "r", "a", no_idea, elsewhere=elsewhere)
    assert slots == Reason(
        "slots",
        "all 2 slots are taken, 2 of them by other processes",
        (("far", "x"), ("w", "y")),
    )
    assert pool == Reason(
        "pool",
        "pool db: 2 of 2 in use, 2 of them by other processes; this task needs 1",
        (("far", "x"),),
    )
    assert explain(dialogue.state, "r", "a", no_idea) == []


def test_a_task_that_holds_a_slot_looks_its_secrets_up() -> None:
    dialogue = Dialogue(lacking=frozenset({"slots"}))
    secrets = {"A": "cmd:a", "B": "cmd:b"}
    dialogue.submit(a_workflow(task("a", secrets=secrets), task("b")))
    elsewhere = {"reserved": {("r", "a"): 1}}
    assert explain(dialogue.state, "r", "a", no_idea, elsewhere=elsewhere) == [
        Reason(
            "lookup", "its secrets are looked up (A, B); it holds its slot meanwhile"
        )
    ]
    (behind,) = explain(dialogue.state, "r", "b", no_idea, elsewhere=elsewhere)
    assert behind.kind == "behind"


def test_limit_of_the_own_run_is_named() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a"), task("b")), max_parallel=1)
    assert whys(dialogue, "b") == [
        "run_limit: max_parallel of the run is reached: one task running"
    ]


def test_retrying_task_names_the_time_of_its_next_attempt() -> None:
    dialogue = begun(task("a", retry=RetryPolicy(3, delay_s=30)))
    told(dialogue, "a exits 7")
    (because,) = explain(dialogue.state, "r", "a", no_idea)
    assert because.kind == "backoff"
    assert because.until == 1030.0
    assert "attempt 1 failed" in because.text
    told(dialogue, "wait 30")
    assert whys(dialogue, "a") == ["running: it is running, attempt 2"]


def test_paused_and_stopping_are_named() -> None:
    dialogue = begun(task("a"), task("b", ["a"]))
    told(dialogue, "pause")
    assert whys(dialogue, "b") == [
        "paused: the run is paused",
        "need: waiting for a (running)",
    ]
    told(dialogue, "resume", "cancel")
    assert (
        whys(dialogue, "a")[0] == "cancelled: it was asked to stop and is still running"
    )


def test_held_task_waits_for_a_decision() -> None:
    dialogue = told(begun(task("a")), "a is lost")
    (why,) = whys(dialogue, "a")
    assert why.startswith("held: held: ")
    assert why.endswith("an operator must resolve it")


def test_root_cause_of_a_distant_failure_is_named() -> None:
    dialogue = begun(
        task("a"),
        task("b", ["a"]),
        group("g", ["b"]),
        task("g/x"),
        task("z", ["g"]),
    )
    told(dialogue, "a exits 3")
    assert whys(dialogue, "z")[-1] == "root_cause: a failed: exit code 3"
    assert whys(dialogue, "g/x")[-1] == "root_cause: a failed: exit code 3"
    assert whys(dialogue, "a") == ["failed: it failed: exit code 3"]


def test_task_that_could_not_start_failed_before_its_start() -> None:
    dialogue = told(begun(task("a"), task("z", ["a"])), "a cannot start")
    assert whys(dialogue, "a") == [
        "failed: it failed before it started: cannot start it"
    ]
    assert whys(dialogue, "z")[-1] == (
        "root_cause: a failed before it started: cannot start it"
    )


def test_root_cause_of_a_failed_group_is_its_task() -> None:
    dialogue = begun(group("g"), task("g/x"), task("g/y"))
    told(dialogue, "g/y exits 4", "g/x exits 0")
    run = dialogue.state.runs["r"]
    assert [c.task.id for c in root_causes(run, run.tasks["g"])] == ["g/y"]


def test_false_condition_shows_its_values() -> None:
    when = {"$equals": [output("a", "zone"), "es-mad1"]}
    dialogue = begun(task("a"), task("b", ["a"], when=when))
    told(dialogue, 'a returns {"zone": "fi-hel1"}')
    assert whys(dialogue, "b") == [
        "skipped: it was skipped: its condition is false",
        'condition: a.zone is "fi-hel1"',
    ]


def test_successful_task_has_a_plain_reason() -> None:
    dialogue = told(begun(task("a")), "a exits 0")
    assert whys(dialogue, "a") == ["result: it succeeded"]


def test_unknown_task_raises_key_error() -> None:
    with pytest.raises(KeyError):
        explain(begun(task("a")).state, "r", "z", no_idea)


def test_shortage_of_the_machine_blocks_all_starts() -> None:
    """The loop holds starts back, so no slot is left here."""
    short = begun(task("a"), task("b"), slots=1)
    short.lacking = frozenset({SLOTS})
    told(short, "a finds no room")
    room = "no room: make some; retried until it is available"
    assert whys(short, "a") == [f"shortage: {room}"]
    assert whys(short, "b") == [
        f"shortage: no task starts because a hit this shortage: {room}",
        "behind: 1 task is ahead of it in the queue",
    ]
    shown = task_view(short.task("a"))
    assert (shown.status, shown.attempt) == ("ready", 0)
    assert shown.explanation == "no room: make some"
    short.lacking = frozenset()
    assert short.settle() == ["start a again"]
    assert task_view(short.task("a")).explanation == ""
    assert whys(short, "b") == ["slots: the only slot is taken"]


def test_shortage_is_forgotten_when_the_task_is_cancelled() -> None:
    short = begun(task("a"))
    short.lacking = frozenset({SLOTS})
    told(short, "a finds no room", "cancel")
    assert task_view(short.task("a")).shortage == ""
    assert whys(short, "a") == ["result: it was cancelled"]
