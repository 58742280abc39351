"""Small workflows for tests, with as few words as possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Iterable, Tuple, Union

from provctl.core.model.status import DependencyOutcome
from provctl.core.model.workflow import Command, Dependency, SubWorkflow, Task, Workflow

__all__ = ["a_workflow", "chain", "group", "nested", "output", "task"]

Needs = Iterable[Union[str, Tuple[str, DependencyOutcome]]]


def task(name: str, needs: Needs = (), **fields: Any) -> Task:
    """A task that runs `true`; a slash in its name puts it into a group."""
    return Task(
        id=name,
        index=0,
        action=fields.pop("action", Command(("true",))),
        needs=tuple(
            Dependency(n) if isinstance(n, str) else Dependency(*n) for n in needs
        ),
        parent=name.rpartition("/")[0] or None,
        **fields,
    )


def group(name: str, needs: Needs = (), **fields: Any) -> Task:
    """A nested workflow; the names of its tasks start with its name and a slash."""
    return task(name, needs, action=SubWorkflow(), **fields)


def a_workflow(*tasks: Task, **fields: Any) -> Workflow:
    """A workflow of these tasks, in this order."""
    placed = tuple(replace(each, index=index) for index, each in enumerate(tasks))
    return Workflow(fields.pop("name", "w"), placed, **fields)


def chain(length: int) -> Workflow:
    """Tasks t0, t1, ... of which each needs the one before."""
    links = ([f"t{n - 1}"] if n else [] for n in range(length))
    return a_workflow(*(task(f"t{n}", needs) for n, needs in enumerate(links)))


def nested(depth: int) -> Workflow:
    """Groups g, g/g, ... `depth` deep; the innermost has the one task `t`."""
    names = ["/".join("g" * level) for level in range(1, depth + 1)]
    return a_workflow(*map(group, names), task(f"{names[-1]}/t"))


def output(of: str, path: str = "") -> Dict[str, Any]:
    """The expression for the output of another task."""
    return {"$output": {"task": of, "path": path}}
