"""Chooses a node for an attempt: the least loaded allowed one with a free slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Optional

from provctl.executors.remote.node import Node, NodeStatus
from provctl.executors.remote.room import satisfies

if TYPE_CHECKING:
    from provctl.core.model.workflow import Placement


def choose_node(nodes: Iterable[Node], wanted: Placement) -> Optional[Node]:
    """Return the node for an attempt; None if there is none at the moment."""
    fit = [
        node
        for node in nodes
        if node.status is NodeStatus.READY
        and node.given < node.config.slots
        and may_run_on(node, wanted)
        and node.room.has(wanted)
    ]
    return min(fit, key=lambda n: n.given / n.config.slots, default=None)


def may_run_on(node: Node, wanted: Placement) -> bool:
    """Whether a task may run on a node once the node has enough room."""
    return satisfies(node.config, wanted) and not node.is_drained
