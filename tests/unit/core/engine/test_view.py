"""The view of a run: its status word, its counts, and the rows that fit."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from provctl.core.engine.requests import Cancel
from provctl.core.engine.view import RunView, view
from provctl.core.model.workflow import RetryPolicy
from tests.support.engine_driver import Dialogue
from tests.support.workflows import a_workflow, group, task

WORDS: List[List[Tuple[str, str]]] = [
    [("", "running"), ("a exits 0", "running"), ("b exits 0", "finished")],
    [("cancel", "cancelling"), ("a is stopped", "cancelling")],
    [("a is lost", "running"), ("b exits 0", "held"), ("rerun a", "running")],
    [("a is lost", "running"), ("b is lost", "held"), ("cancel", "finished")],
    [("a exits 1", "running"), ("b is lost", "running"), ("wait 5", "running")],
]


@pytest.mark.parametrize("story", WORDS)
def test_run_has_the_right_status_word(story: List[Tuple[str, str]]) -> None:
    dialogue = Dialogue()
    retry = RetryPolicy(attempts=2, delay_s=5)
    dialogue.submit(a_workflow(task("a", retry=retry), task("b")))
    for news, status in story:
        if news:
            dialogue.hear(news)
        assert view(dialogue.r).status == status, news


def test_run_whose_tasks_wait_for_a_slot_is_queued() -> None:
    dialogue = Dialogue(slots=1)
    one = a_workflow(task("a"))
    dialogue.submit(one)
    dialogue.submit(one, run="other")
    assert view(dialogue.state.runs["other"]).status == "queued"
    dialogue.hear("a exits 0")
    assert view(dialogue.state.runs["other"]).status == "running"


def test_view_has_the_fields_of_a_run() -> None:
    dialogue = Dialogue(slots=2)
    dialogue.submit(
        a_workflow(task("a"), task("b"), task("c", ["a"]), task("d"), name="cloud"),
        priority=2,
        batch="x",
    )
    dialogue.advance(5)
    dialogue.hear("a exits 3")
    shown = view(dialogue.r)
    assert [(row.id, row.status, row.outcome, row.reason) for row in shown.tasks] == [
        ("a", "finished", "failed", "exit code 3"),
        ("b", "running", None, ""),
        ("c", "finished", "skipped", "needs success of a, which failed"),
        ("d", "running", None, ""),
    ]
    assert shown == RunView(
        id="r",
        name="cloud",
        status="running",
        created_at=1000.0,
        started_at=1000.0,
        priority=2,
        batch="x",
        total=4,
        counts={"failed": 1, "running": 2, "skipped": 1},
        tasks=shown.tasks,
    )


def test_attempts_that_never_started_are_not_counted() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a", retry=RetryPolicy(attempts=3, delay_s=9))))
    dialogue.hear("a is void")
    dialogue.hear("a exits 1")
    (row,) = view(dialogue.r).tasks
    assert (row.status, row.attempt, row.attempts) == ("retrying", 1, 3)
    assert (row.retry_at, row.result.exit_code, row.reason) == (
        1009.0,
        1,
        "exit code 1",
    )


def test_stopping_task_is_marked() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a")))
    assert not view(dialogue.r).tasks[0].stopping
    dialogue.hear("cancel")
    assert view(dialogue.r).tasks[0].stopping


def test_reason_of_a_cancel_is_shown_until_the_run_is_reopened() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a")))
    assert view(dialogue.r).reason == ""
    dialogue.request(Cancel("r", "changed my mind"))
    dialogue.request(Cancel("r", "now, I said", now=True))
    assert view(dialogue.r).reason == "changed my mind"
    dialogue.hear("a is stopped")
    dialogue.hear("again")
    assert view(dialogue.r).reason == ""


def test_important_rows_are_chosen_if_not_all_fit() -> None:
    dialogue = Dialogue(slots=2)
    dialogue.submit(a_workflow(*(task(f"t{n}") for n in range(6))))
    dialogue.hear("t0 exits 0")
    dialogue.hear("t1 exits 1")

    def rows(count: int) -> List[str]:
        return [row.id for row in view(dialogue.r, rows=count).tasks]

    assert rows(0) == []
    assert rows(1) == ["t2"]
    assert rows(2) == ["t2", "t3"]
    assert rows(3) == ["t1", "t2", "t3"]
    assert rows(5) == ["t0", "t1", "t2", "t3", "t4"]
    assert rows(6) == rows(99) == [f"t{n}" for n in range(6)]


def test_tasks_needing_attention_are_listed() -> None:
    dialogue = Dialogue(slots=4)
    dialogue.submit(
        a_workflow(
            group("group"),
            task("group/a"),
            *(task(name) for name in "bc"),
            task("d", ["b"]),
        )
    )
    assert dialogue.r.tasks_needing_attention() == []
    for seconds, news in ((1, "b exits 1"), (2, "c is lost"), (3, "group/a exits 1")):
        dialogue.advance(seconds)
        dialogue.hear(news)
    assert dialogue.r.tasks["group"].outcome == "failed"
    troubled = [task.task.id for task in dialogue.r.tasks_needing_attention()]
    assert troubled == ["b", "group/a", "c"]
