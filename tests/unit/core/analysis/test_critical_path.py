"""The critical path decides how long a workflow takes; other tasks have slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.analysis.critical_path import TaskSlack, critical_path
from tests.support.workflows import a_workflow, chain, group, nested, task

if TYPE_CHECKING:
    from provctl.core.model.workflow import Task, Workflow


def path_of(
    workflow: Workflow, **took: float
) -> Tuple[List[str], Dict[str, TaskSlack]]:
    def seconds(each: Task) -> float:
        return took.get(each.id.replace("/", "_"), 1.0)

    path, timings = critical_path(workflow.tasks, seconds)
    return path, dict(timings)


def test_critical_path_is_the_longest_and_others_have_slack() -> None:
    diamond = a_workflow(
        task("a"), task("b", ["a"]), task("c", ["a"]), task("d", ["b", "c"])
    )
    path, timings = path_of(diamond, b=5, c=2)
    assert path == ["a", "b", "d"]
    assert timings["c"] == TaskSlack(1.0, 2.0, 3.0)
    assert timings["b"] == TaskSlack(1.0, 5.0, 0.0)
    assert timings["d"] == TaskSlack(6.0, 1.0, 0.0)


def test_critical_path_goes_through_a_nested_workflow() -> None:
    workflow = a_workflow(
        task("a"),
        group("g", ["a"]),
        task("g/x"),
        task("g/y"),
        task("z", ["g"]),
    )
    path, timings = path_of(workflow, g_y=4)
    assert path == ["a", "g/y", "z"]
    assert timings["g"] == TaskSlack(1.0, 4.0, 0.0)
    assert timings["g/x"].slack_s == 3.0


def test_path_ends_with_the_finalizers() -> None:
    workflow = a_workflow(
        task("a"),
        group("g"),
        task("g/x"),
        task("g/f", finalizer=True),
        task("e", finalizer=True),
        task("h", ["e"], finalizer=True),
        task("i", finalizer=True),
    )
    path, timings = path_of(workflow, g_x=3)
    assert path == ["g/x", "g/f", "e", "h"]
    assert timings["i"] == TaskSlack(4.0, 1.0, 1.0)
    assert timings["a"].slack_s == 3.0
    assert path_of(a_workflow(task("f", finalizer=True)))[0] == ["f"]


def test_critical_path_of_independent_tasks_and_of_an_empty_workflow() -> None:
    assert path_of(a_workflow())[0] == []
    assert path_of(a_workflow(task("a"), task("b")), b=2)[0] == ["b"]


def test_deep_workflow_does_not_overflow_the_stack() -> None:
    assert len(path_of(chain(20_000))[0]) == 20_000
    assert path_of(nested(1_000))[0] == ["/".join(["g"] * 1_000) + "/t"]


@given(st.lists(st.tuples(st.floats(0, 100), st.sets(st.integers(0, 20))), min_size=1))
def test_critical_path_is_maximal_and_slack_is_never_negative(
    drawn: List[Tuple[float, Set[int]]],
) -> None:
    took = {f"t{n}": seconds for n, (seconds, _) in enumerate(drawn)}
    workflow = a_workflow(
        *(
            task(f"t{n}", [f"t{other}" for other in sorted(needs) if other < n])
            for n, (_, needs) in enumerate(drawn)
        )
    )
    path, timings = critical_path(workflow.tasks, lambda each: took[each.id])
    whole = sum(took[name] for name in path)
    ends = [timing.earliest_s + timing.took_s for timing in timings.values()]
    assert whole == pytest.approx(max(ends))
    assert all(timing.slack_s >= -1e-6 for timing in timings.values())
    assert all(timings[name].slack_s == pytest.approx(0, abs=1e-6) for name in path)
