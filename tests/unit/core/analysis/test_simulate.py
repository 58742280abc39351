"""A simulated run: what the scheduler would do, on a virtual clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.analysis.simulate import (
    FailureModel,
    SimulationResult,
    critical_path_length,
    lower_bound,
    simulate,
)
from provctl.core.model.workflow import RetryPolicy
from tests.support.workflows import a_workflow, chain, group, output, task

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow

Drawn = List[Tuple[int, Set[int], int]]


def simulated(
    workflow: Workflow, slots: int = 10, *, failure_model: Any = None, **took: float
) -> SimulationResult:
    """Simulate with pool p of 2; a task takes 1 second by default."""
    return simulate(
        workflow,
        slots=slots,
        capacity={"p": 2},
        took_s=lambda each: took.get(each.id.replace("/", "_"), 1.0),
        failure_model=failure_model,
    )


def starts(simulation: SimulationResult) -> List[Tuple[str, float]]:
    return [(each.task, each.start_s) for each in simulation.attempts]


def bound(workflow: Workflow, simulation: SimulationResult) -> str:
    return lower_bound(simulation, critical_path_length(workflow, simulation)[1])


def test_tasks_start_when_dependencies_have_finished_and_a_slot_is_free() -> None:
    diamond = a_workflow(
        task("a"), task("b", ["a"]), task("c", ["a"]), task("d", ["b", "c"])
    )
    wide = simulated(diamond, b=5, c=2)
    assert starts(wide) == [("a", 0), ("b", 1), ("c", 1), ("d", 6)]
    assert (wide.makespan_s, wide.work_s, wide.peak) == (7, 9, 2)
    assert critical_path_length(diamond, wide) == (["a", "b", "d"], 7)
    assert bound(diamond, wide) == "needs"
    narrow = simulated(diamond, 1, b=5, c=2)
    assert starts(narrow) == [("a", 0), ("b", 1), ("c", 6), ("d", 8)]
    assert bound(diamond, narrow) == "slots"
    assert narrow.waits == {"slots": 5}
    assert (narrow.utilisation, narrow.tail_s) == (1, 0)


def test_tail_is_the_time_in_which_a_slot_is_idle() -> None:
    three = a_workflow(task("a"), task("b"), task("c"))
    one = simulated(three, 2, a=1, b=4, c=2)
    assert (one.makespan_s, one.tail_s) == (4, 1)
    assert one.utilisation == pytest.approx(7 / 8)


def test_pools_and_the_workflow_limit_are_respected_and_named() -> None:
    pooled = a_workflow(*(task(name, pools={"p": 1}) for name in "abcd"))
    assert simulated(pooled).makespan_s == 2
    assert bound(pooled, simulated(pooled)) == "pool:p"
    limited = a_workflow(*map(task, "abcd"), max_parallel=1)
    assert simulated(limited).makespan_s == 4
    assert bound(limited, simulated(limited)).startswith("run:")


def test_task_of_higher_priority_starts_first() -> None:
    ranked = a_workflow(task("low"), task("high", priority=3))
    assert starts(simulated(ranked, 1)) == [("high", 0), ("low", 1)]


def test_nested_workflow_takes_the_time_of_its_tasks() -> None:
    nested = a_workflow(
        task("a"),
        group("g", ["a"]),
        task("g/x"),
        task("g/y", ["g/x"]),
        task("z", ["g"]),
    )
    assert simulated(nested, g_y=3).makespan_s == 6
    assert critical_path_length(nested, simulated(nested))[0] == [
        "a",
        "g/x",
        "g/y",
        "z",
    ]


def test_conditions_count_as_true_and_timeouts_are_ignored() -> None:
    # Values, conditions and time limits are about what tasks do, and nothing is done.
    workflow = a_workflow(
        task("a", timeout_s=0.1, env={"X": output("a")}),
        task("b", ["a"], when={"$equals": [output("a"), 1]}),
        group("g", ["b"], timeout_s=0.1),
        task("g/x"),
        timeout_s=0.1,
    )
    assert simulated(workflow).outcome == "succeeded"
    assert simulated(workflow).makespan_s == 3


def test_task_that_waits_for_a_failure_is_skipped_and_takes_no_time() -> None:
    workflow = a_workflow(
        task("a"), task("alert", [("a", "failure")]), task("end", [("alert", "done")])
    )
    one = simulated(workflow, a=2, alert=50)
    assert one.skipped == ["alert"]
    assert one.makespan_s == 3
    assert critical_path_length(workflow, one)[1] <= one.makespan_s


def test_empty_workflow_takes_no_time() -> None:
    empty = simulated(a_workflow())
    assert (empty.makespan_s, empty.utilisation, empty.outcome) == (0, 0, "succeeded")
    assert critical_path_length(a_workflow(), empty) == ([], 0)


def test_failed_attempt_is_retried_after_its_delay() -> None:
    rolls = {("a", 1): 0.9, ("a", 2): 0.9, ("a", 3): 0.1}
    failure_model = FailureModel(
        {"a": 0.5}, lambda name, number: rolls.get((name, number), 0.0)
    )
    patient = a_workflow(
        task("a", retry=RetryPolicy(attempts=3, delay_s=10, factor=2)), task("b", ["a"])
    )
    one = simulated(patient, failure_model=failure_model)
    assert starts(one) == [("a", 0), ("a", 11), ("a", 32), ("b", 33)]
    assert [each.well for each in one.attempts] == [False, False, True, True]
    assert (one.outcome, one.work_s) == ("succeeded", 4)
    assert critical_path_length(patient, one) == (["a", "b"], 34)
    hasty = a_workflow(task("a"), task("b", ["a"]))
    failed = simulated(hasty, failure_model=failure_model)
    assert (failed.outcome, failed.skipped) == ("failed", ["b"])
    # Nothing is undone: nobody knows how long that takes.
    assert simulated(
        a_workflow(task("a", on_failure="rollback")), failure_model=failure_model
    ).outcome == ("failed")


def drawn_workflow(drawn: Drawn, *, pools: bool) -> Tuple[Workflow, Dict[str, float]]:
    """Tasks that need earlier ones; whole seconds, so that ends may coincide."""
    took = {f"t{n}": float(seconds) for n, (seconds, _, _) in enumerate(drawn)}
    tasks = (
        task(
            f"t{n}",
            [f"t{other}" for other in sorted(needs) if other < n],
            priority=rank,
            pools={"p": 1 + n % 2} if pools and n % 3 == 0 else {},
        )
        for n, (_, needs, rank) in enumerate(drawn)
    )
    return a_workflow(*tasks), took


DRAWN = st.lists(
    st.tuples(st.integers(0, 9), st.sets(st.integers(0, 15)), st.integers(0, 2)),
    min_size=1,
    max_size=16,
)


@given(DRAWN, st.integers(1, 5), st.booleans())
def test_run_is_never_shorter_than_its_critical_path_or_its_work(
    drawn: Drawn, slots: int, pools: bool
) -> None:
    workflow, took = drawn_workflow(drawn, pools=pools)
    one = simulated(workflow, slots, **took)
    path, critical_s = critical_path_length(workflow, one)
    assert one.makespan_s >= max(critical_s, one.work_s / slots) - 1e-9
    assert one.work_s == sum(took.values())
    assert sum(took[name] for name in path) == critical_s
    assert one.peak <= slots
    assert 0 <= one.tail_s <= one.makespan_s


@given(DRAWN)
def test_run_with_enough_slots_takes_its_critical_path(drawn: Drawn) -> None:
    workflow, took = drawn_workflow(drawn, pools=False)
    one = simulated(workflow, len(drawn), **took)
    assert one.makespan_s == critical_path_length(workflow, one)[1]
    # And so it is with as many slots as ever were in use.
    again = simulated(workflow, max(one.peak, 1), **took)
    assert starts(again) == starts(one)


def seconds_for(workflow: Workflow) -> float:
    began = time.process_time()
    simulated(workflow, 8)
    return time.process_time() - began


def test_time_grows_linearly_with_the_number_of_tasks() -> None:
    fan = [a_workflow(*(task(f"t{n}") for n in range(size))) for size in (500, 5_000)]
    small, large = map(seconds_for, fan)
    assert large < 10 * 4 * small


def test_deep_workflow_does_not_overflow_the_stack() -> None:
    assert simulated(chain(5_000)).makespan_s == 5_000
