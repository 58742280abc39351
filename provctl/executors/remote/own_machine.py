"""The executor of an owner without configured nodes, even if it had some before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provctl.errors import StateDirError
from provctl.executors.local.executor import LocalExecutor
from provctl.executors.remote.grants import is_granted, read_grant

if TYPE_CHECKING:
    from provctl.core.engine.requests import Report
    from provctl.executors.protocol import AttemptRef


def unknown_node(place: AttemptRef, node: str) -> StateDirError:
    """Return the error about an attempt on a node that is not configured."""
    message = f"task {place.task} was given to node {node}, which is not configured"
    return StateDirError(message, hint=f"add [nodes.{node}] to the configuration again")


class OwnMachineExecutor(LocalExecutor):
    """Runs attempts here; never reports an attempt on a node as never started."""

    def recover(self, place: AttemptRef, *, rebooted: bool) -> Report:
        """Find out the state of an attempt; adopt it if it is running.

        Also raises StateDirError for an attempt that was granted to a node.
        """
        if is_granted(place):
            grant = read_grant(place)
            if grant is not None and not place.file("go").is_file():
                raise unknown_node(place, grant.node)
        return super().recover(place, rebooted=rebooted)
