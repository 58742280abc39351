"""What finalizers are told, whom they keep waiting, and when they cannot run again."""

from __future__ import annotations

import json
from typing import Any, List, Mapping

import pytest

from provctl.core.engine.decide import LaunchAttempt, decide
from provctl.core.engine.requests import Cancel, RetryRun, Rollback, admit
from provctl.core.engine.snapshot import restore, snapshot
from provctl.core.engine.state import State
from provctl.core.engine.view import view
from provctl.core.model.workflow import Command, Undo
from provctl.errors import RequestRejected
from tests.support.engine_driver import Dialogue, replayed
from tests.support.invariants import audit
from tests.support.workflows import a_workflow, group, task

OUTCOME = {"$run": "outcome"}
FAILED = {"$run": "failed"}


def finalizer(name: str, **fields: Any) -> Any:
    return task(name, finalizer=True, **fields)


def tells(name: str = "f") -> Any:
    """A finalizer that is given all there is."""
    argv = ("echo", OUTCOME, FAILED)
    return finalizer(name, action=Command(argv), env={"O": OUTCOME})


def told(*tasks: Any, news: str, **fields: Any) -> Mapping[str, str]:
    """The environment of the latest launch after these lines."""
    dialogue = Dialogue()
    dialogue.submit(a_workflow(*tasks, **fields))
    for line in news.split(", "):
        dialogue.hear(line)
    return dialogue.launches[-1].env


UNDO = Undo(Command(("delete",)))

ENDS = [
    ("a exits 0", "succeeded", []),
    ("a exits 1", "failed", ["a"]),
    ("a times out", "timed_out", ["a"]),
    ("a is lost, cancel", "cancelled", ["a"]),
    ("cancel, a is stopped", "cancelled", []),
    ("wait 60, a is stopped", "timed_out", []),
]


@pytest.mark.parametrize(("news", "outcome", "failed"), ENDS)
def test_it_is_told_how_the_run_went(
    news: str, outcome: str, failed: List[str]
) -> None:
    env = told(task("a"), tells(), news=news, timeout_s=60)
    assert env == {
        "O": outcome,
        "PROVCTL_RUN_OUTCOME": outcome,
        "PROVCTL_FAILED_TASKS": json.dumps(failed),
    }


def test_it_is_told_of_a_loss_and_of_a_rollback() -> None:
    lost = task("a", on_interrupt="fail")
    env = told(lost, tells(), news="a is interrupted")
    assert env["PROVCTL_RUN_OUTCOME"] == "lost"
    undone = (task("a", undo=UNDO), task("b", ["a"], on_failure="rollback"))
    news = "a exits 0, b exits 1, a exits 0"
    env = told(*undone, tells(), news=news)
    assert env["PROVCTL_RUN_OUTCOME"] == "rolled_back"
    env = told(*undone, tells(), news="a exits 0, b exits 1, a exits 1")
    assert env["PROVCTL_RUN_OUTCOME"] == "rollback_failed"
    assert json.loads(env["PROVCTL_FAILED_TASKS"]) == ["b", "a"]


def test_one_of_a_nested_workflow_is_told_of_that() -> None:
    inside = (group("n"), task("n/a"), task("n/b"), tells("n/f"))
    env = told(*inside, task("c"), news="c exits 1, n/b exits 1, n/a exits 0")
    assert env["PROVCTL_RUN_OUTCOME"] == "failed"
    assert json.loads(env["PROVCTL_FAILED_TASKS"]) == ["n/b"]
    env = told(*inside, task("c"), news="c exits 1, n/a exits 0, n/b exits 0")
    assert env["PROVCTL_RUN_OUTCOME"] == "succeeded"
    lost = (group("n"), task("n/a", on_interrupt="fail"), tells("n/f"))
    env = told(*lost, news="n/a is interrupted")
    assert env["PROVCTL_RUN_OUTCOME"] == "lost"


def test_another_task_is_told_nothing() -> None:
    assert told(task("a"), task("b", ["a"]), news="a exits 0") == {}


def test_of_many_failures_it_is_told_a_hundred() -> None:
    many = [task(f"t{n}") for n in range(150)]
    dialogue = Dialogue(slots=200)
    dialogue.submit(a_workflow(*many, tells()))
    for each in many:
        dialogue.hear(f"{each.id} exits 1")
    failed = json.loads(dialogue.launches[-1].env["PROVCTL_FAILED_TASKS"])
    assert failed == [f"t{n}" for n in range(100)]


def test_of_long_names_it_is_told_as_many_as_fit() -> None:
    many = [task(f"{n:03}" + "x" * 4000) for n in range(20)]
    dialogue = Dialogue(slots=200)
    dialogue.submit(a_workflow(*many, tells()))
    for each in many:
        dialogue.hear(f"{each.id} exits 1")
    text = dialogue.launches[-1].env["PROVCTL_FAILED_TASKS"]
    assert len(json.loads(text)) == 8
    assert len(text) < 40_000


def test_the_next_owner_tells_it_the_same() -> None:
    """From the journal, and from a checkpoint, before the attempt is recorded."""
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a"), task("b"), tells()))
    dialogue.hear("b exits 1")
    dialogue.hear("a exits 0")
    launch = dialogue.launches[-1]
    replay = replayed(dialogue.history[:-1], like=dialogue.state)
    data = json.loads(json.dumps(snapshot(replay, "r")))
    resumed = State(slots=10, capacity={})
    restore(resumed, replay.runs["r"].submitted, replay.runs["r"].workflow, data)
    for state in (replay, resumed):
        (again,) = decide(state, dialogue.now)
        assert isinstance(again, LaunchAttempt)
        assert again == launch


# -- retries ----------------------------------------------------------------------------


def running_finalizer() -> Dialogue:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a", undo=UNDO), task("b"), finalizer("f")))
    for line in ("a exits 1", "b exits 0"):
        dialogue.hear(line)
    return dialogue


def test_nothing_is_retried_while_a_finalizer_runs() -> None:
    dialogue = running_finalizer()
    with pytest.raises(RequestRejected, match="cannot retry while task f is running"):
        admit(dialogue.state, RetryRun("r"), 1.0)
    with pytest.raises(
        RequestRejected, match="run r is running: 1 tasks are unfinished"
    ):
        admit(dialogue.state, Rollback("r"), 1.0)
    dialogue.hear("f is lost")
    with pytest.raises(RequestRejected, match="cannot retry while task f is held"):
        admit(dialogue.state, RetryRun("r"), 1.0)


def test_a_retry_has_one_that_waits_for_room_wait_for_tasks_again() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("a"), finalizer("f"), timeout_s=60), priority=0)
    dialogue.submit(a_workflow(task("x")), run="other", priority=5)
    assert dialogue.hear("a exits 1") == ["start other:x"]
    assert dialogue.r.finalizing
    assert dialogue.hear("again") == []
    assert not dialogue.r.finalizing
    audit(dialogue.state)
    assert dialogue.hear("other:x exits 0") == ["end other:succeeded", "start a again"]
    # The time of the run goes on from its start.
    assert dialogue.hear("wait 60") == ["cancel timeout", "stop a"]
    assert dialogue.hear("a is stopped") == ["start f"]
    assert dialogue.hear("f exits 0") == ["end timed_out"]


def test_a_retry_inside_has_the_time_of_the_workflow_go_on() -> None:
    dialogue = Dialogue(slots=1)
    inside = (group("n", timeout_s=60), task("n/a"), finalizer("n/f"))
    dialogue.submit(a_workflow(*inside), priority=0)
    dialogue.submit(a_workflow(task("x")), run="other", priority=5)
    assert dialogue.hear("n/a exits 1") == ["start other:x"]
    assert dialogue.hear("again") == []
    audit(dialogue.state)
    assert dialogue.hear("other:x exits 0")[-1] == "start n/a again"
    assert dialogue.hear("wait 60") == ["overtime n", "stop n/a"]
    assert dialogue.hear("n/a is stopped") == ["start n/f"]
    assert dialogue.hear("n/f exits 0") == ["close n timed_out", "end timed_out"]


# -- a cancel ---------------------------------------------------------------------------


def test_reasons_say_why_it_was_skipped() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a"), finalizer("f")))
    dialogue.hear("cancel")
    dialogue.hear("cancel")
    dialogue.hear("a is stopped")
    assert dialogue.outcomes() == {"a": "cancelled", "f": "skipped"}
    assert dialogue.task("f").reason == "a second cancel request skipped it"
    idle = Dialogue()
    idle.submit(a_workflow(task("a", when=False), finalizer("f")))
    assert idle.task("f").reason == "no task of the run began"


def test_a_queued_run_that_is_cancelled_skips_them() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("x")), run="other")
    dialogue.submit(
        a_workflow(task("a"), group("n", ["a"]), finalizer("n/f"), finalizer("f"))
    )
    assert dialogue.hear("cancel")[-1] == "end cancelled"
    assert dialogue.outcomes() == {
        "a": "cancelled",
        "n": "cancelled",
        "n/f": "skipped",
        "f": "skipped",
    }


def test_a_task_that_waits_for_any_end_is_told_of_finally() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a"), task("b", [("a", "done")]), task("c", ["a"])))
    dialogue.hear("cancel")
    assert "`finally`" in dialogue.task("b").reason
    assert dialogue.task("c").reason == ""
    timed = Dialogue()
    timed.submit(
        a_workflow(group("n", timeout_s=5), task("n/a"), task("n/b", [("n/a", "done")]))
    )
    timed.hear("wait 5")
    assert timed.task("n/b").reason == ""


def test_cancels_are_admitted_as_long_as_they_do_something() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a"), finalizer("f")))

    def admitted(*, now: bool = False) -> bool:
        events = admit(dialogue.state, Cancel("r", now=now), dialogue.now)
        dialogue.settle(events)
        return bool(events)

    assert admitted(now=True)
    assert admitted()
    assert not admitted()
    assert not admitted(now=True)  # there is no finalizer left
    assert dialogue.hear("a is stopped") == ["end cancelled"]


# -- views ------------------------------------------------------------------------------


def test_a_view_says_which_tasks_are_finalizers() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a"), finalizer("f")))
    assert [(row.id, row.finalizer) for row in view(dialogue.r).tasks] == [
        ("a", False),
        ("f", True),
    ]
