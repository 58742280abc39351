"""Which task starts first and which waits: priority, slots, pools, limits."""

from __future__ import annotations

from typing import List

from provctl.core.engine.apply import apply
from provctl.core.engine.events import (
    AttemptDiscarded,
    AttemptFinished,
    AttemptStarted,
    RunFinished,
)
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import RetryPolicy
from tests.support.engine_driver import Dialogue
from tests.support.invariants import audit
from tests.support.workflows import a_workflow, nested, task


def starts(*answers: List[str]) -> List[str]:
    """Names of the started tasks, in order."""
    said = [line.split() for answer in answers for line in answer]
    return [words[1] for words in said if words[0] == "start"]


def finish_all(dialogue: Dialogue, first: List[str]) -> List[str]:
    """Finish the started tasks one after another; return all that started."""
    order = starts(first)
    for done, name in enumerate(order):
        order += starts(dialogue.hear(f"{name} exits 0"))
        assert done < 1000
    return order


def test_tasks_of_equal_priority_start_in_file_order() -> None:
    names = [f"t{n}" for n in (3, 1, 2, 11, 0)]
    dialogue = Dialogue(slots=1)
    first = dialogue.submit(a_workflow(*map(task, names)))
    assert finish_all(dialogue, first) == names


def test_task_of_higher_priority_starts_first() -> None:
    dialogue = Dialogue(slots=1)
    first = dialogue.submit(
        a_workflow(task("low", priority=-1), task("mid"), task("high", priority=5))
    )
    assert finish_all(dialogue, first) == ["high", "mid", "low"]


def test_older_run_goes_first_in_any_order_of_acquisition() -> None:
    dialogue = Dialogue(slots=1)
    first = dialogue.submit(a_workflow(task("now")))
    for run, submitted_at in (("young", 1030.0), ("old", 1010.0), ("middle", 1020.0)):
        dialogue.now = submitted_at
        dialogue.submit(a_workflow(task("a")), run=run)
    assert finish_all(dialogue, first) == ["now", "old:a", "middle:a", "young:a"]


def test_run_priority_comes_before_task_priority_and_age() -> None:
    dialogue = Dialogue(slots=1)
    two = a_workflow(task("a"), task("b", priority=1))
    first = dialogue.submit(a_workflow(task("now")))
    dialogue.submit(two, run="early")
    dialogue.submit(two, run="late")
    dialogue.submit(two, run="urgent", priority=1)
    assert finish_all(dialogue, first) == [
        "now",
        *("urgent:b", "urgent:a"),
        *("early:b", "late:b", "early:a", "late:a"),
    ]


def test_retried_task_keeps_its_place_in_the_queue() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("a", retry=RetryPolicy(attempts=2)), task("b")))
    assert dialogue.hear("a exits 1") == ["retry a", "start a again"]


def test_no_more_tasks_run_than_there_are_slots() -> None:
    dialogue = Dialogue(slots=3)
    names = [f"t{n}" for n in range(8)]
    first = dialogue.submit(a_workflow(*map(task, names)))
    assert starts(first) == ["t0", "t1", "t2"]
    assert dialogue.hear("t1 exits 0") == ["start t3"]
    assert dialogue.state.running == 3


def test_pool_capacity_is_never_exceeded() -> None:
    dialogue = Dialogue(capacity={"p": 3})
    amounts = {"a": 2, "b": 2, "c": 1, "d": 3}
    first = dialogue.submit(
        a_workflow(*(task(name, pools={"p": n}) for name, n in amounts.items()))
    )
    # b does not fit beside a, and c may not overtake it: it wants the same.
    assert first == ["start a"]
    assert dialogue.hear("a exits 0") == ["start b", "start c"]
    assert dialogue.hear("b exits 0") == []
    assert dialogue.hear("c exits 0") == ["start d"]


def test_task_waiting_for_a_pool_is_overtaken_only_by_tasks_without_that_pool() -> None:
    dialogue = Dialogue(capacity={"p": 2, "q": 1})
    first = dialogue.submit(
        a_workflow(
            task("holder", pools={"p": 1}),
            task("large", pools={"p": 2, "q": 1}),
            task("small-p", pools={"p": 1}),
            task("small-q", pools={"q": 1}),
            task("free"),
        )
    )
    assert first == ["start holder", "start free"]
    assert dialogue.hear("holder exits 0") == ["start large"]
    assert dialogue.hear("large exits 0") == ["start small-p", "start small-q"]


def test_stream_of_small_tasks_does_not_starve_a_large_one() -> None:
    dialogue = Dialogue(capacity={"p": 4})
    small = [task(f"s{n}", pools={"p": 1}, priority=1) for n in range(4)]
    later = [task(f"s{n}", [f"s{n - 4}"], pools={"p": 1}) for n in range(4, 40)]
    large = task("large", pools={"p": 4})
    dialogue.submit(a_workflow(*small, large, *later))
    answers = [dialogue.hear(f"s{n} exits 0") for n in range(4)]
    assert starts(*answers) == ["large"]


def test_task_that_wants_more_than_the_capacity_runs_alone() -> None:
    dialogue = Dialogue(capacity={"p": 2})
    first = dialogue.submit(
        a_workflow(
            task("a", pools={"p": 1}),
            task("huge", pools={"p": 9}),
            task("b", pools={"p": 1}),
        )
    )
    assert first == ["start a"]
    assert dialogue.hear("a exits 0") == ["start huge"]
    assert dialogue.hear("huge exits 0") == ["start b"]


def test_unconfigured_pool_does_not_limit() -> None:
    dialogue = Dialogue(capacity={})
    tasks = (task(f"t{n}", pools={"p": 5}) for n in range(3))
    assert len(starts(dialogue.submit(a_workflow(*tasks)))) == 3


def test_runs_share_pools() -> None:
    dialogue = Dialogue(capacity={"p": 1})
    one = a_workflow(task("a", pools={"p": 1}))
    assert dialogue.submit(one) == ["start a"]
    assert dialogue.submit(one, run="other") == []
    assert dialogue.hear("a exits 0") == ["end succeeded", "start other:a"]


def test_run_has_its_own_limit() -> None:
    dialogue = Dialogue()
    three = a_workflow(task("a"), task("b"), task("c"))
    assert dialogue.submit(three, max_parallel=2) == ["start a", "start b"]
    assert len(starts(dialogue.submit(three, run="other"))) == 3
    assert dialogue.hear("a exits 0") == ["start c"]


def test_nested_workflow_uses_no_slot() -> None:
    dialogue = Dialogue(slots=1)
    assert starts(dialogue.submit(nested(3))) == ["g/g/g/t"]
    assert dialogue.state.running == 1


def test_released_run_returns_its_resources() -> None:
    dialogue = Dialogue(slots=2, capacity={"p": 1})
    dialogue.submit(
        a_workflow(task("a", pools={"p": 1}), task("b"), task("c")), max_parallel=2
    )
    dialogue.submit(a_workflow(task("d", pools={"p": 1})), run="other")
    assert dialogue.close() == ["start other:d"]
    assert dialogue.state.used == {"pool:p": 1}
    assert dialogue.state.running == 1
    assert not dialogue.state.queues


def test_task_removed_from_the_middle_of_a_queue_is_not_found_later() -> None:
    # As on replay under other priorities, or when a run that failed fast is skipped.
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(*map(task, "abcd")))
    for name in "cbd":
        apply(dialogue.state, AttemptStarted("r", 1.0, name, 1))
        audit(dialogue.state)
    assert not dialogue.state.queues


def test_removed_run_does_not_bring_back_removed_tasks() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("a"), task("b")))
    dialogue.submit(a_workflow(task("a"), task("b")), run="other")
    apply(dialogue.state, AttemptStarted("other", 1.0, "a", 1))
    dialogue.hear("cancel")
    audit(dialogue.state)


def test_reopened_run_is_not_found_at_its_old_place() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("now"), task("next")))
    one = a_workflow(task("a"))
    dialogue.submit(one, run="other")
    # It leaves the line from its middle, and its entry stays behind.
    for event in (
        AttemptStarted("other", 1.0, "a", 1),
        AttemptFinished("other", 1.0, "a", 1, "succeeded", result=AttemptResult(0)),
        RunFinished("other", 1.0, "succeeded"),
    ):
        apply(dialogue.state, event)
    dialogue.close("other")
    audit(dialogue.state)
    dialogue.submit(one, run="other")
    audit(dialogue.state)
    assert finish_all(dialogue, ["start now"]) == ["now", "next", "other:a"]
    assert not dialogue.state.queues


def test_task_that_returns_to_a_queue_is_in_it_once() -> None:
    dialogue = Dialogue(slots=2)
    dialogue.submit(a_workflow(*map(task, "abcd")))
    apply(dialogue.state, AttemptStarted("r", 1.0, "d", 1))
    apply(dialogue.state, AttemptDiscarded("r", 1.0, "d", 1, "it never began"))
    audit(dialogue.state)
    assert finish_all(dialogue, ["start a", "start b"]) == ["a", "b", "c", "d"]
    assert dialogue.r.outcome == "succeeded"


def test_unused_resource_is_forgotten() -> None:
    dialogue = Dialogue(capacity={"p": 1})
    dialogue.submit(a_workflow(task("a", pools={"p": 1})), max_parallel=1)
    dialogue.hear("a exits 0")
    assert dialogue.state.used == {}


def test_resource_held_by_other_owners_blocks_only_tasks_that_need_it() -> None:
    dialogue = Dialogue(capacity={"db": 1}, lacking=frozenset({"pool:db"}))
    wants = task("wants", pools={"db": 1})
    assert starts(dialogue.submit(a_workflow(wants, task("other")))) == ["other"]
    dialogue.lacking = frozenset()
    assert starts(dialogue.settle()) == ["wants"]


def test_task_waiting_for_other_owners_is_not_overtaken() -> None:
    sizes = {"db": 1, "aws": 1}
    dialogue = Dialogue(capacity=sizes, lacking=frozenset({"pool:db"}))
    both = task("both", pools=sizes)
    first = dialogue.submit(a_workflow(both, task("aws", pools={"aws": 1})))
    assert starts(first) == []
    dialogue.lacking = frozenset()
    assert starts(dialogue.settle()) == ["both"]


def test_no_slot_is_free_if_other_owners_hold_all() -> None:
    dialogue = Dialogue(lacking=frozenset({"slots"}))
    assert starts(dialogue.submit(a_workflow(task("a")))) == []
    dialogue.lacking = frozenset()
    assert starts(dialogue.settle()) == ["a"]
