"""How long a task waits for its next attempt, and how often it is retried."""

from __future__ import annotations

from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine import events as ev
from provctl.core.model.workflow import RetryPolicy
from tests.support.engine_driver import Dialogue
from tests.support.workflows import a_workflow, group, task


def waits(retry: RetryPolicy, *, dice: float = 0.0) -> List[float]:
    """Seconds before each retry of a task that always fails."""
    dialogue = Dialogue(dice=dice)
    dialogue.submit(a_workflow(task("a", retry=retry)))
    found = []
    while dialogue.r.outcome is None:
        dialogue.hear("a exits 1")
        due = dialogue.task("a").retry_at
        if due is not None:
            found.append(round(due - dialogue.now, 3))
            dialogue.advance(due - dialogue.now)
        elif dialogue.task("a").status == "running":
            found.append(0.0)
    return found


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (RetryPolicy(attempts=1, delay_s=5), []),
        (RetryPolicy(attempts=4, delay_s=5), [5, 5, 5]),
        (RetryPolicy(attempts=5, delay_s=1, factor=3), [1, 3, 9, 27]),
        (RetryPolicy(attempts=6, delay_s=1, factor=2, max_delay_s=5), [1, 2, 4, 5, 5]),
        (RetryPolicy(attempts=3, delay_s=60, max_delay_s=5), [5, 5]),
        (RetryPolicy(attempts=3, delay_s=0, factor=10), [0, 0]),
        (RetryPolicy(attempts=3, delay_s=1, factor=0.5), [1, 0.5]),
    ],
)
def test_retry_delay_follows_the_policy(
    retry: RetryPolicy, expected: List[float]
) -> None:
    assert waits(retry) == expected


def test_jitter_lengthens_the_delay_beyond_its_maximum() -> None:
    retry = RetryPolicy(attempts=4, delay_s=10, factor=2, max_delay_s=20, jitter=0.5)
    assert waits(retry, dice=0.0) == [10, 20, 20]
    assert waits(retry, dice=0.5) == [12.5, 25, 25]


@given(
    attempts=st.integers(1, 30),
    delay=st.floats(0, 3600),
    factor=st.floats(1, 100),
    jitter=st.floats(0, 1),
    dice=st.floats(0, 1, exclude_max=True),
)
def test_delay_stays_below_its_maximum_and_jitter(
    attempts: int, delay: float, factor: float, jitter: float, dice: float
) -> None:
    retry = RetryPolicy(attempts, delay, factor, max_delay_s=30, jitter=jitter)
    found = waits(retry, dice=dice)
    assert len(found) == attempts - 1
    assert all(0 <= wait <= 30 * (1 + jitter) + 0.001 for wait in found)


def test_retry_time_is_shown_during_the_delay() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a", retry=RetryPolicy(attempts=2, delay_s=5))))
    dialogue.hear("a exits 1")
    assert dialogue.task("a").status == "retrying"
    assert dialogue.task("a").retry_at == 1005
    dialogue.advance(5)
    assert dialogue.task("a").retry_at is None
    assert dialogue.task("a").counted_attempts == 2


def took(dialogue: Dialogue, at: float) -> None:
    """A new owner takes over; its clock says `at`."""
    dialogue.now = at
    dialogue.settle([ev.OwnershipTaken("r", at, "scheduler", 1, "boot")])


def test_clock_set_back_does_not_lengthen_a_delay() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a", retry=RetryPolicy(2, delay_s=60))))
    dialogue.hear("a exits 1")
    took(dialogue, 10.0)
    assert dialogue.task("a").retry_at == 70.0
    assert dialogue.advance(59) == []
    assert dialogue.advance(1) == ["retry a", "start a again"]


def test_clock_set_back_does_not_postpone_a_deadline() -> None:
    dialogue = Dialogue()
    tasks = (group("g", timeout_s=20), task("g/a"))
    dialogue.submit(a_workflow(*tasks, timeout_s=60))
    took(dialogue, 10.0)
    assert dialogue.advance(20) == ["overtime g", "stop g/a"]
    assert dialogue.advance(40) == ["cancel timeout"]


def test_clock_that_advanced_normally_changes_no_delay() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a", retry=RetryPolicy(2, delay_s=60))))
    dialogue.hear("a exits 1")
    took(dialogue, dialogue.now + 30)
    assert dialogue.advance(30) == ["retry a", "start a again"]
