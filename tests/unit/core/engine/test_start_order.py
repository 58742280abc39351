"""Who starts first, and who has to wait: ranks, slots, pools, a run's own limit."""

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
    """Names of what was started, in order."""
    said = [line.split() for answer in answers for line in answer]
    return [words[1] for words in said if words[0] == "start"]


def finish_all(dialogue: Dialogue, first: List[str]) -> List[str]:
    """End what was started, one after the other; return all that started."""
    order = starts(first)
    for done, name in enumerate(order):
        order += starts(dialogue.hear(f"{name} exits 0"))
        assert done < 1000
    return order


def test_tasks_of_equal_rank_start_in_the_order_of_the_file() -> None:
    names = [f"t{n}" for n in (3, 1, 2, 11, 0)]
    dialogue = Dialogue(slots=1)
    first = dialogue.submit(a_workflow(*map(task, names)))
    assert finish_all(dialogue, first) == names


def test_a_task_of_higher_priority_goes_first() -> None:
    dialogue = Dialogue(slots=1)
    first = dialogue.submit(
        a_workflow(task("low", priority=-1), task("mid"), task("high", priority=5))
    )
    assert finish_all(dialogue, first) == ["high", "mid", "low"]


def test_an_older_run_goes_first_whoever_took_it_first() -> None:
    dialogue = Dialogue(slots=1)
    first = dialogue.submit(a_workflow(task("now")))
    for run, submitted_at in (("young", 1030.0), ("old", 1010.0), ("middle", 1020.0)):
        dialogue.now = submitted_at
        dialogue.submit(a_workflow(task("a")), run=run)
    assert finish_all(dialogue, first) == ["now", "old:a", "middle:a", "young:a"]


def test_a_run_of_higher_priority_goes_first_then_the_task_then_arrival() -> None:
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


def test_a_retry_takes_its_old_place_in_line() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("a", retry=RetryPolicy(attempts=2)), task("b")))
    assert dialogue.hear("a exits 1") == ["retry a", "start a again"]


def test_no_more_run_than_there_are_slots() -> None:
    dialogue = Dialogue(slots=3)
    names = [f"t{n}" for n in range(8)]
    first = dialogue.submit(a_workflow(*map(task, names)))
    assert starts(first) == ["t0", "t1", "t2"]
    assert dialogue.hear("t1 exits 0") == ["start t3"]
    assert dialogue.state.running == 3


def test_a_pool_is_never_overdrawn() -> None:
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


def test_who_waits_for_a_pool_is_overtaken_only_by_who_wants_none_of_it() -> None:
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


def test_a_stream_of_small_tasks_does_not_starve_a_large_one() -> None:
    dialogue = Dialogue(capacity={"p": 4})
    small = [task(f"s{n}", pools={"p": 1}, priority=1) for n in range(4)]
    later = [task(f"s{n}", [f"s{n - 4}"], pools={"p": 1}) for n in range(4, 40)]
    large = task("large", pools={"p": 4})
    dialogue.submit(a_workflow(*small, large, *later))
    answers = [dialogue.hear(f"s{n} exits 0") for n in range(4)]
    assert starts(*answers) == ["large"]


def test_who_wants_more_than_there_is_runs_alone() -> None:
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


def test_a_pool_that_nobody_configured_does_not_limit() -> None:
    dialogue = Dialogue(capacity={})
    tasks = (task(f"t{n}", pools={"p": 5}) for n in range(3))
    assert len(starts(dialogue.submit(a_workflow(*tasks)))) == 3


def test_pools_are_shared_by_runs() -> None:
    dialogue = Dialogue(capacity={"p": 1})
    one = a_workflow(task("a", pools={"p": 1}))
    assert dialogue.submit(one) == ["start a"]
    assert dialogue.submit(one, run="other") == []
    assert dialogue.hear("a exits 0") == ["end succeeded", "start other:a"]


def test_a_run_has_a_limit_of_its_own() -> None:
    dialogue = Dialogue()
    three = a_workflow(task("a"), task("b"), task("c"))
    assert dialogue.submit(three, max_parallel=2) == ["start a", "start b"]
    assert len(starts(dialogue.submit(three, run="other"))) == 3
    assert dialogue.hear("a exits 0") == ["start c"]


def test_a_nested_workflow_takes_no_slot() -> None:
    dialogue = Dialogue(slots=1)
    assert starts(dialogue.submit(nested(3))) == ["g/g/g/t"]
    assert dialogue.state.running == 1


def test_a_run_that_leaves_gives_back_what_it_uses() -> None:
    dialogue = Dialogue(slots=2, capacity={"p": 1})
    dialogue.submit(
        a_workflow(task("a", pools={"p": 1}), task("b"), task("c")), max_parallel=2
    )
    dialogue.submit(a_workflow(task("d", pools={"p": 1})), run="other")
    assert dialogue.close() == ["start other:d"]
    assert dialogue.state.used == {"pool:p": 1}
    assert dialogue.state.running == 1
    assert not dialogue.state.queues


def test_who_leaves_a_line_from_its_middle_is_not_found_in_it_later() -> None:
    # As on replay under other priorities, or when a run that failed fast is skipped.
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(*map(task, "abcd")))
    for name in "cbd":
        apply(dialogue.state, AttemptStarted("r", 1.0, name, 1))
        audit(dialogue.state)
    assert not dialogue.state.queues


def test_a_run_that_leaves_the_line_does_not_uncover_those_that_left() -> None:
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(task("a"), task("b")))
    dialogue.submit(a_workflow(task("a"), task("b")), run="other")
    apply(dialogue.state, AttemptStarted("other", 1.0, "a", 1))
    dialogue.hear("cancel")
    audit(dialogue.state)


def test_a_run_that_ended_and_comes_back_is_not_found_where_it_stood() -> None:
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


def test_who_comes_back_into_a_line_stands_in_it_once() -> None:
    dialogue = Dialogue(slots=2)
    dialogue.submit(a_workflow(*map(task, "abcd")))
    apply(dialogue.state, AttemptStarted("r", 1.0, "d", 1))
    apply(dialogue.state, AttemptDiscarded("r", 1.0, "d", 1, "it never began"))
    audit(dialogue.state)
    assert finish_all(dialogue, ["start a", "start b"]) == ["a", "b", "c", "d"]
    assert dialogue.r.outcome == "succeeded"


def test_what_is_used_no_more_is_forgotten() -> None:
    dialogue = Dialogue(capacity={"p": 1})
    dialogue.submit(a_workflow(task("a", pools={"p": 1})), max_parallel=1)
    dialogue.hear("a exits 0")
    assert dialogue.state.used == {}


def test_what_other_owners_have_is_lacking_for_those_who_want_it() -> None:
    dialogue = Dialogue(capacity={"db": 1}, lacking=frozenset({"pool:db"}))
    wants = task("wants", pools={"db": 1})
    assert starts(dialogue.submit(a_workflow(wants, task("other")))) == ["other"]
    dialogue.lacking = frozenset()
    assert starts(dialogue.settle()) == ["wants"]


def test_nothing_overtakes_what_waits_for_other_owners() -> None:
    sizes = {"db": 1, "aws": 1}
    dialogue = Dialogue(capacity=sizes, lacking=frozenset({"pool:db"}))
    both = task("both", pools=sizes)
    first = dialogue.submit(a_workflow(both, task("aws", pools={"aws": 1})))
    assert starts(first) == []
    dialogue.lacking = frozenset()
    assert starts(dialogue.settle()) == ["both"]


def test_no_slot_is_free_where_other_owners_have_all_of_them() -> None:
    dialogue = Dialogue(lacking=frozenset({"slots"}))
    assert starts(dialogue.submit(a_workflow(task("a")))) == []
    dialogue.lacking = frozenset()
    assert starts(dialogue.settle()) == ["a"]
