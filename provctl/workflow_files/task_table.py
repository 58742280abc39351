"""The table of all tasks of all levels, and their surroundings.

It uses a list of levels to read instead of recursion, so any depth is possible.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
    Union,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import references, rename
from provctl.core.model.workflow import (
    ANYWHERE,
    NO_RETRY,
    Command,
    Dependency,
    Executable,
    NushellCall,
    Placement,
    RetryPolicy,
    Script,
    SubWorkflow,
    Task,
    Undo,
)
from provctl.workflow_files.schema import PlaceFields, PolicyFields, TaskFields
from provctl.workflow_files.validate import ParsedLevel, ParsedTask, read_level

if TYPE_CHECKING:
    from provctl.workflow_files.problems import ValidationIssues
    from provctl.workflow_files.schema import (
        RetryFields,
        UndoFields,
        WorkFields,
    )


MAX_TASKS = 100_000
MAX_NESTING = 1_000
# As long as a path may be (PATH_MAX), whose parts ids may be: tasks name files by them.
MAX_ID = 4_095

_POLICY = frozenset(PolicyFields.model_fields)
# Fields of a task that are the same in the file; all others are made of what it says.
_AS_GIVEN = frozenset(field.name for field in dataclasses.fields(Task)) & frozenset(
    TaskFields.model_fields
) - {"needs", "when", "retry", "env", "undo", "probe", "place", "description"}


@light_dataclass
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


@light_dataclass
class TaskNode:
    """A task with its surroundings: `policy` is merged from it and the defaults."""

    id: str
    entry: ParsedTask
    parent: Optional[TaskNode]
    scope: Scope
    policy: Mapping[str, Any]
    defaults: Mapping[str, Any]


@dataclass
class TaskTable:
    """All tasks in order; for each group the level in it and its scope."""

    nodes: Dict[str, TaskNode] = field(default_factory=dict)
    levels: Dict[str, ParsedLevel] = field(default_factory=dict)
    scopes: Dict[str, Scope] = field(default_factory=dict)


def build_table(top: ParsedLevel, problems: ValidationIssues) -> TaskTable:
    """Every task of every level; the tasks of a group come right after it."""
    table = TaskTable()
    work = list(reversed(_members(top, None, _scope(top, None))))
    while work:
        node = work.pop()
        if len(table.nodes) == MAX_TASKS:
            problems.add(
                node.entry.path, f"the workflow has more than {MAX_TASKS} tasks"
            )
            return TaskTable()  # nothing else needs a check
        if node.id.count("/") > MAX_NESTING or len(node.id) > MAX_ID:
            problems.add(
                node.entry.path,
                f"workflows are nested too deeply: at most {MAX_NESTING} levels, and"
                f" {MAX_ID} characters for the full id of a task",
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


def _scope(level: ParsedLevel, around: Optional[TaskNode]) -> Scope:
    prefix = f"{around.id}/" if around else ""
    ids = {entry.id: prefix + entry.id for entry in level.entries}
    return Scope(ids, around.scope if around else None)


def _members(
    level: ParsedLevel, around: Optional[TaskNode], scope: Scope
) -> List[TaskNode]:
    defaults = _merge(around.defaults if around else {}, level.fields.defaults)
    return [
        TaskNode(
            id=scope.ids[entry.id],
            entry=entry,
            parent=around,
            scope=scope,
            policy=_merge(_defaults_for(entry, defaults), entry.fields),
            defaults=defaults,
        )
        for entry in level.entries
    ]


def _defaults_for(entry: ParsedTask, defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """The defaults that mean something for a task."""
    if entry.kind == "workflow":
        return {}
    if entry.finalizer and defaults.get("on_failure") == "rollback":
        return {**defaults, "on_failure": "fail"}  # it runs after a rollback
    return defaults


def _merge(outer: Mapping[str, Any], inner: PolicyFields) -> Mapping[str, Any]:
    """Merge `inner` over `outer`; variables one by one."""
    own = {
        name: getattr(inner, name)
        for name in inner.model_fields_set & _POLICY
        if getattr(inner, name) is not None
    }
    for name in ("env", "secrets"):
        if name in own and name in outer:
            own[name] = {**outer[name], **own[name]}
    return {**outer, **own}


def _check_library(
    level: ParsedLevel, top: ParsedLevel, problems: ValidationIssues
) -> None:
    if level.fields.library not in (None, top.fields.library):
        problems.add(
            (*level.path, "library"),
            "a nested workflow uses the library of the outermost workflow",
            "set `library` there",
        )


LineOf = Callable[[str], int]


def make_task(
    node: TaskNode,
    index: int,
    needs: Tuple[Dependency, ...],
    table: TaskTable,
    line_of: LineOf,
) -> Task:
    """Create a task of the table, with flat ids in all references.

    `line_of` gives the line of the file on which a script begins, 0 if unknown.
    """
    entry, policy = node.entry, node.policy
    fields: TaskFields = entry.fields
    level = table.levels.get(node.id)
    inner = level.fields if level else None
    return Task(
        id=node.id,
        index=index,
        action=_work(fields, node.scope, line_of) or SubWorkflow(),
        needs=needs,
        parent=node.parent.id if node.parent else None,
        when=_rename_references(fields.when, node.scope),
        timeout_s=policy.get("timeout", inner.timeout if inner else None),
        finalizer=entry.finalizer,
        retry=_retry(policy.get("retry")),
        env=_rename_references(policy.get("env", {}), node.scope),
        undo=_undo(fields.undo, node.scope, line_of),
        probe=_work(fields.probe, node.scope, line_of) if fields.probe else None,
        place=place_of(policy.get("place")),
        description=fields.description or (inner.description if inner else ""),
        **_as_given(fields, policy),
    )


def _as_given(fields: TaskFields, policy: Mapping[str, Any]) -> Dict[str, Any]:
    """The fields of a task as given in the file or by its defaults."""
    own = {name: getattr(fields, name) for name in fields.model_fields_set & _AS_GIVEN}
    return {**own, **{name: policy[name] for name in _AS_GIVEN if name in policy}}


def place_of(fields: Optional[PlaceFields]) -> Placement:
    """Return where a task may run, as its `place` says."""
    if fields is None:
        return ANYWHERE
    room = (fields.cpus, fields.memory, fields.gpus)
    return Placement(fields.node, tuple(fields.labels), *room)


def _undo(
    fields: Optional[UndoFields], scope: Scope, line_of: LineOf
) -> Optional[Undo]:
    work = _work(fields, scope, line_of) if fields is not None else None
    if fields is None or work is None:
        return None
    return Undo(
        work,
        on=fields.on,
        timeout_s=fields.timeout,
        retry=_retry(fields.retry),
        idempotent=fields.idempotent,
    )


def _work(
    fields: Union[TaskFields, WorkFields], scope: Scope, line_of: LineOf
) -> Optional[Executable]:
    """The action; None for a nested workflow."""
    if fields.call is not None:
        call = fields.call
        return NushellCall(
            call.module,
            call.command,
            tuple(_rename_references(call.args, scope)),
            _rename_references(call.flags, scope),
            check_success=call.check_success,
        )
    if fields.script is not None:
        args = _rename_references(fields.args or {}, scope)
        return Script(fields.script, args, line_of(fields.script))
    if fields.command is not None:
        return Command(tuple(_rename_references(fields.command, scope)))
    return None


def _rename_references(value: Any, scope: Scope) -> Any:
    """The value with flat ids in its references."""
    if not references(value):
        return value
    return rename(value, lambda name: scope.find(name) or name)


def _retry(fields: Optional[RetryFields]) -> RetryPolicy:
    if fields is None:
        return NO_RETRY
    return RetryPolicy(
        attempts=fields.attempts,
        delay_s=fields.delay,
        factor=fields.factor,
        max_delay_s=fields.max_delay,
        jitter=fields.jitter,
        on=tuple(fields.on),
    )
