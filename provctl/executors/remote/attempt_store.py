"""Reads the evidence of attempts in a run's folder, also of those granted to nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provctl.errors import JournalDamaged
from provctl.executors.local.attempt_store import LocalAttemptStore
from provctl.executors.remote.grants import is_granted, read_grant
from provctl.executors.remote.node_records import NodeRecords

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef


class MirroredAttemptStore(LocalAttemptStore):
    """Implements the contract `executors.protocol.AttemptStore`."""

    def is_claimed(self, place: AttemptRef) -> bool:
        """Whether a shim here, or a node, may have started the attempt."""
        return super().is_claimed(place) or is_granted(place)

    def remote_status(self, place: AttemptRef) -> str:
        """Return which node has an attempt whose end is not known here; "" for none."""
        if not is_granted(place) or self.exit_report(place) is not None:
            return ""
        try:
            grant = read_grant(place)
        except JournalDamaged:
            return "given to a node, but its grant is damaged"
        if grant is None:
            return ""
        records = NodeRecords(place.folder.parents[2] / "nodes")
        heard_at = records.read(grant.node).heard_at
        if not heard_at:
            return f"given to {grant.node}, which was not heard since"
        from datetime import datetime

        heard = datetime.fromtimestamp(heard_at).astimezone()
        return f"given to {grant.node}, last heard at {heard:%Y-%m-%d %H:%M}"
