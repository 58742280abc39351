"""Long chains, deep groups and many runs need no deep stack and only linear time."""

from __future__ import annotations

import time
from collections import Counter

from provctl.core.engine import events as ev
from provctl.core.engine.apply import apply, open_run
from provctl.core.engine.state import State
from tests.support.engine_driver import Dialogue
from tests.support.invariants import audit
from tests.support.workflows import a_workflow, chain, nested, task


def test_skip_passes_down_a_chain_of_ten_thousand() -> None:
    dialogue = Dialogue()
    dialogue.submit(chain(10_000))
    said = dialogue.hear("t0 exits 1")
    assert said[0] == "skip t1"
    assert said[-2:] == ["skip t9999", "end failed"]
    assert Counter(dialogue.outcomes().values()) == {"failed": 1, "skipped": 9_999}


def test_one_event_cancels_ten_thousand_waiting_tasks() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(*(task(f"t{n}") for n in range(10_000))))
    assert dialogue.hear("cancel") == ["stop t0"]
    assert len([e for e in dialogue.history if isinstance(e, ev.CancelRequested)]) == 1
    assert dialogue.hear("t0 is stopped") == ["end cancelled"]
    audit(dialogue.state)


def test_two_hundred_nested_groups_run() -> None:
    dialogue = Dialogue()
    innermost = "/".join("g" * 200) + "/t"
    said = dialogue.submit(nested(200))
    assert said[0] == "open g"
    assert said[-1] == f"start {innermost}"
    said = dialogue.hear(f"{innermost} exits 0")
    assert said[-2:] == ["close g succeeded", "end succeeded"]
    assert len(said) == 201
    assert dialogue.r.output_of("g")


def test_failure_passes_up_through_two_hundred_groups() -> None:
    dialogue = Dialogue()
    dialogue.submit(nested(200))
    said = dialogue.hear("/".join("g" * 200) + "/t exits 1")
    assert said[-2:] == ["close g failed", "end failed"]


def test_cancel_closes_two_hundred_groups() -> None:
    dialogue = Dialogue()
    innermost = "/".join("g" * 200) + "/t"
    dialogue.submit(nested(200))
    assert dialogue.hear("cancel") == [f"stop {innermost}"]
    said = dialogue.hear(f"{innermost} is stopped")
    assert said[-2:] == ["close g cancelled", "end cancelled"]


def replay_seconds(runs: int) -> float:
    """The time to replay so many runs of 200 tasks, 20 of them done, into one state."""
    workflow = a_workflow(*(task(f"t{n}") for n in range(200)))
    state = State(slots=10, capacity={})
    began = time.process_time()
    for name in map(str, range(runs)):
        open_run(state, ev.RunSubmitted(name, 1.0, "w", 200, ""), workflow)
        for n in range(20):
            apply(state, ev.AttemptStarted(name, 1.0, f"t{n}", 1))
            apply(state, ev.AttemptFinished(name, 1.0, f"t{n}", 1, "succeeded"))
    return time.process_time() - began


def test_takeover_time_of_a_run_does_not_depend_on_other_waiting_runs() -> None:
    # A full look through the line at each start made it forty times as much.
    few, many = replay_seconds(10), replay_seconds(200)
    assert many < 20 * 6 * few
