"""Owns the table of all tasks of all levels, and what surrounds each of them.

A list of levels still to read takes the place of the stack, so depth is free.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional

from provctl.spec.levels import Entry, Level, read_level
from provctl.spec.schema import PolicyFields

if TYPE_CHECKING:
    from provctl.spec.problems import Problems

__all__ = ["Node", "Scope", "Table", "build_table"]

MAX_TASKS = 100_000
MAX_NESTING = 1_000
# As long as a path may be (PATH_MAX), whose parts ids may be: tasks name files by them.
MAX_ID = 4_095

_POLICY = frozenset(PolicyFields.model_fields)


@dataclass(frozen=True)
class Scope:
    """The tasks of one level by their short names, and the level around it."""

    ids: Mapping[str, str]
    outer: Optional[Scope]

    def find(self, name: str) -> Optional[str]:
        """The flat id of the nearest task with that short name."""
        scope: Optional[Scope] = self
        while scope is not None:
            if name in scope.ids:
                return scope.ids[name]
            scope = scope.outer
        return None

    def names(self) -> Iterator[str]:
        """Every short name that can be found, nearest first."""
        scope: Optional[Scope] = self
        while scope is not None:
            yield from scope.ids
            scope = scope.outer


@dataclass(frozen=True)
class Node:
    """A task with what surrounds it: `policy` is what it and the defaults say."""

    id: str
    entry: Entry
    parent: Optional[Node]
    scope: Scope
    policy: Mapping[str, Any]
    defaults: Mapping[str, Any]


@dataclass
class Table:
    """All tasks in order; for each group the level in it and its scope."""

    nodes: Dict[str, Node] = field(default_factory=dict)
    levels: Dict[str, Level] = field(default_factory=dict)
    scopes: Dict[str, Scope] = field(default_factory=dict)


def build_table(top: Level, problems: Problems) -> Table:
    """Every task of every level; the tasks of a group come right after it."""
    table = Table()
    work = list(reversed(_members(top, None, _scope(top, None))))
    while work:
        node = work.pop()
        if len(table.nodes) == MAX_TASKS:
            problems.add(
                node.entry.path, f"the workflow has more than {MAX_TASKS} tasks"
            )
            return Table()  # nothing else is worth checking
        if node.id.count("/") > MAX_NESTING or len(node.id) > MAX_ID:
            problems.add(
                node.entry.path,
                f"workflows nest too deeply here: at most {MAX_NESTING} levels, and"
                f" {MAX_ID} characters for the ids of a task and those around it",
            )
            continue
        table.nodes[node.id] = node
        nested = node.entry.fields.workflow
        if node.entry.kind != "workflow" or nested is None:
            continue
        path = (*node.entry.path, "workflow")
        level = read_level(nested, path, problems)
        _check_library(level, top, problems)
        scope = _scope(level, node)
        table.levels[node.id] = level
        table.scopes[node.id] = scope
        work.extend(reversed(_members(level, node, scope)))
    return table


def _scope(level: Level, around: Optional[Node]) -> Scope:
    prefix = f"{around.id}/" if around else ""
    ids = {entry.id: prefix + entry.id for entry in level.entries}
    return Scope(ids, around.scope if around else None)


def _members(level: Level, around: Optional[Node], scope: Scope) -> List[Node]:
    defaults = _merge(around.defaults if around else {}, level.fields.defaults)
    return [
        Node(
            id=scope.ids[entry.id],
            entry=entry,
            parent=around,
            scope=scope,
            policy=_merge({} if entry.kind == "workflow" else defaults, entry.fields),
            defaults=defaults,
        )
        for entry in level.entries
    ]


def _merge(outer: Mapping[str, Any], inner: PolicyFields) -> Mapping[str, Any]:
    """What `inner` says over what `outer` says; variables one by one."""
    said = {
        name: getattr(inner, name)
        for name in inner.model_fields_set & _POLICY
        if getattr(inner, name) is not None
    }
    for name in ("env", "secrets"):
        if name in said and name in outer:
            said[name] = {**outer[name], **said[name]}
    return {**outer, **said}


def _check_library(level: Level, top: Level, problems: Problems) -> None:
    if level.fields.library not in (None, top.fields.library):
        problems.add(
            (*level.path, "library"),
            "a nested workflow uses the library of the outermost one",
            "set `library` there",
        )
