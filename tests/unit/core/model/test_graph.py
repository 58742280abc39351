"""The graph checks: names, cycles, groups, and large graphs."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.model.graph import GraphProblem, check, stages
from provctl.core.model.workflow import Command, Dependency, SubWorkflow, Task


def table(
    needs: Mapping[str, Sequence[str]], groups: Sequence[str] = ()
) -> Tuple[Task, ...]:
    return tuple(
        Task(
            id=name,
            index=index,
            action=SubWorkflow() if name in groups else Command(("true",)),
            needs=tuple(Dependency(other) for other in wanted),
            parent=name.rpartition("/")[0] or None,
        )
        for index, (name, wanted) in enumerate(needs.items())
    )


def found(
    needs: Mapping[str, Sequence[str]], groups: Sequence[str] = ()
) -> List[Tuple[str, Optional[int], str]]:
    return [
        (problem.task, problem.need, " -> ".join(problem.cycle))
        for problem in check(table(needs, groups))
    ]


def test_valid_graph_has_no_problem() -> None:
    assert check(table({"a": [], "b": ["a"], "c": ["a", "b"]})) == ()


def test_unknown_dependency_is_reported_with_task_and_index() -> None:
    (problem,) = check(table({"a": [], "b": ["a", "x"]}))
    assert (problem.task, problem.need) == ("b", 1)
    assert problem.message == "task `b` needs `x`, which does not exist"


def test_task_cannot_need_itself() -> None:
    (problem,) = check(table({"a": ["a"]}))
    assert problem == GraphProblem("a", 0, "task `a` needs itself")


def test_cycle_starts_with_its_first_task() -> None:
    (problem,) = check(table({"c": ["a"], "a": ["b"], "b": ["c"]}))
    assert problem.cycle == ("c", "a", "b", "c")
    assert (problem.task, problem.need) == ("c", 0)
    assert "c -> a -> b -> c" in problem.message


def test_every_separate_cycle_is_reported_once() -> None:
    needs = {"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"], "e": ["a"]}
    assert sorted(found(needs)) == [("a", 0, "a -> b -> a"), ("c", 0, "c -> d -> c")]


def test_cycles_that_share_a_task_are_both_reported() -> None:
    assert len(found({"a": ["b", "c"], "b": ["a"], "c": ["a"]})) == 2


def test_number_of_reported_cycles_is_limited() -> None:
    needs = {}
    for number in range(50):
        needs[f"a{number}"], needs[f"b{number}"] = [f"b{number}"], [f"a{number}"]
    assert len(found(needs)) == 20


def test_wrong_names_do_not_hide_cycles() -> None:
    problems = found({"a": ["x", "b"], "b": ["a", "b"]})
    assert problems == [("a", 0, ""), ("b", 1, ""), ("a", 1, "a -> b -> a")]


def test_task_cannot_need_the_group_around_it() -> None:
    needs = {"g": [], "g/h": [], "g/h/a": ["g"]}
    (problem,) = check(table(needs, groups=["g", "g/h"]))
    assert (problem.task, problem.need) == ("g/h/a", 0)
    assert "part of" in problem.message


def test_group_waits_for_its_tasks_and_they_wait_for_its_dependencies() -> None:
    needs = {"first": [], "g": ["first"], "g/a": ["first"], "last": ["g"]}
    assert found(needs, groups=["g"]) == []


@pytest.mark.parametrize(
    ("needs", "cycle"),
    [
        ({"g": [], "g/a": ["x"], "x": ["g"]}, "g/a -> x -> g -> g/a"),
        ({"g": ["x"], "g/a": [], "x": ["g/a"]}, "g -> x -> g/a -> g"),
        ({"g": ["h"], "g/a": [], "h": ["g"], "h/b": []}, "g -> h -> g"),
    ],
)
def test_cycles_through_groups_are_reported(
    needs: Dict[str, List[str]], cycle: str
) -> None:
    assert [path for _, _, path in found(needs, groups=["g", "h"])] == [cycle]


def test_empty_group_is_valid() -> None:
    assert found({"g": [], "a": ["g"]}, groups=["g"]) == []


def test_long_chain_does_not_overflow_the_stack() -> None:
    chain = {f"t{i}": [f"t{i - 1}"] if i else [] for i in range(10_000)}
    assert check(table(chain)) == ()
    assert len(stages(table(chain))) == 10_000


def test_stages_follow_dependencies_into_groups() -> None:
    needs = {"a": [], "g": ["a"], "g/x": [], "g/y": ["g/x"], "z": ["g"]}
    found = stages(table(needs, groups=["g"]))
    assert [[task.id for task in stage] for stage in found] == [
        ["a"],
        ["g"],
        ["g/x"],
        ["g/y"],
        ["z"],
    ]


def test_long_cycle_does_not_overflow_the_stack() -> None:
    ring = {f"t{i}": [f"t{i - 1}"] for i in range(1, 5_000)}
    (problem,) = check(table({"t0": ["t4999"], **ring}))
    assert len(problem.cycle) == 5_001
    assert "-> (4981 more) ->" in problem.message
    assert len(problem.message) < 300


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_valid_graph_can_run_completely(edges: List[Tuple[int, int]]) -> None:
    needs: Dict[str, List[str]] = {str(i): [] for i in range(8)}
    for a, b in edges:
        if a != b:
            needs[str(a)].append(str(b))
    done: set[str] = set()
    for _ in needs:
        done |= {name for name, wanted in needs.items() if done >= set(wanted)}
    assert (check(table(needs)) == ()) == (len(done) == len(needs))
