"""Owns making one flat task of its fields: what it does, how often, how it is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple, Union

from provctl.core.model import (
    NO_RETRY,
    Call,
    Command,
    Group,
    Need,
    Retry,
    Script,
    Task,
    Undo,
    Work,
)
from provctl.core.values import references, rename

if TYPE_CHECKING:
    from provctl.spec.schema import RetryFields, TaskFields, UndoFields, WorkFields
    from provctl.spec.table import Node, Scope, Table

__all__ = ["make_task"]


LineOf = Callable[[str], int]


def make_task(
    node: Node, index: int, needs: Tuple[Need, ...], table: Table, line_of: LineOf
) -> Task:
    """The task at a place in the table; with flat ids in all it refers to.

    `line_of` tells in which line of the file a script begins, 0 for not known.
    """
    entry, policy = node.entry, node.policy
    fields: TaskFields = entry.fields
    level = table.levels.get(node.id)
    inner = level.fields if level else None
    return Task(
        id=node.id,
        index=index,
        action=_work(fields, node.scope, line_of) or Group(),
        needs=needs,
        parent=node.parent.id if node.parent else None,
        when=_renamed(fields.when, node.scope),
        priority=policy.get("priority", 0),
        timeout_s=policy.get("timeout", inner.timeout if inner else None),
        retry=_retry(policy.get("retry")),
        env=_renamed(policy.get("env", {}), node.scope),
        pools=policy.get("pools", {}),
        on_failure=policy.get("on_failure", "fail"),
        on_interrupt=policy.get("on_interrupt", "hold"),
        idempotent=policy.get("idempotent", False),
        undo=_undo(fields.undo, node.scope, line_of),
        probe=_work(fields.probe, node.scope, line_of) if fields.probe else None,
        keep_processes=fields.keep_processes,
        secrets=policy.get("secrets", {}),
        description=fields.description or (inner.description if inner else ""),
    )


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
) -> Optional[Work]:
    """What is run; None for a nested workflow."""
    if fields.call is not None:
        call = fields.call
        return Call(
            call.module,
            call.command,
            tuple(_renamed(call.args, scope)),
            _renamed(call.flags, scope),
            check_success=call.check_success,
        )
    if fields.script is not None:
        args = _renamed(fields.args or {}, scope)
        return Script(fields.script, args, line_of(fields.script))
    if fields.command is not None:
        return Command(tuple(_renamed(fields.command, scope)))
    return None


def _renamed(value: Any, scope: Scope) -> Any:
    """The value with flat ids in its references."""
    if not references(value):
        return value
    return rename(value, lambda name: scope.find(name) or name)


def _retry(fields: Optional[RetryFields]) -> Retry:
    if fields is None:
        return NO_RETRY
    return Retry(
        attempts=fields.attempts,
        delay_s=fields.delay,
        factor=fields.factor,
        max_delay_s=fields.max_delay,
        jitter=fields.jitter,
        on=tuple(fields.on),
    )
