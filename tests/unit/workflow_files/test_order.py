"""The order of tasks after Nickel has sorted them by name."""

from __future__ import annotations

from typing import Mapping, Sequence

import pytest

from provctl.core.model.graph import topological_order
from provctl.core.model.workflow import Command, Dependency, SubWorkflow, Task


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({"apps": ["web-1"], "web-1": []}, ["web-1", "apps"]),
        ({"web-1": [], "web-10": [], "web-2": []}, ["web-1", "web-2", "web-10"]),
        ({"a1": [], "1a": [], "a": []}, ["1a", "a", "a1"]),
        (
            {"a": ["z"], "g": ["z"], "g/x": ["g/y"], "g/y": [], "h": ["g"], "z": []},
            ["z", "a", "g", "g/y", "g/x", "h"],
        ),
        ({"b": [], "c": ["d"], "d": []}, ["b", "d", "c"]),
        ({}, []),
    ],
)
def test_dependencies_come_first(
    needs: Mapping[str, Sequence[str]], order: Sequence[str]
) -> None:
    tasks = [
        Task(
            id=name,
            index=index,
            action=SubWorkflow() if name in "gh" else Command(("true",)),
            needs=tuple(Dependency(other) for other in wanted),
            parent=name.rpartition("/")[0] or None,
        )
        for index, (name, wanted) in enumerate(needs.items())
    ]
    ordered = topological_order(tasks)
    assert [task.id for task in ordered] == list(order)
    assert [task.index for task in ordered] == list(range(len(order)))
