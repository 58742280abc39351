"""An attempt that was granted to a node, as its owner sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional

from provctl.executors.remote.messages import Message, ref_fields, to_bytes
from provctl.executors.remote.mirror import LogMirror

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef
    from provctl.executors.remote.grants import Grant
    from provctl.executors.remote.node import Node

DAMAGED_MAX = 5  # how often an end may arrive damaged


class RemoteAttempt:
    """One attempt: its grant, the mirror of its log, and the last request to it."""

    def __init__(self, place: AttemptRef, grant: Grant, *, recovered: bool) -> None:
        self.place = place
        self.grant = grant
        self.log = LogMirror(place)
        self.requested = ""  # the last request, sent again on the next connection
        self.is_sent = recovered  # its launch spec was sent, or may have been
        self.recovered = recovered  # of an earlier owner, and not yet reported
        self.given_up = False  # reported as lost; later messages are ignored
        self.damaged = 0
        self.arrived: Optional[EndMessage] = None  # its end, still to be stored

    def asked(self, epoch: List[int]) -> Message:
        """Return the question about its state."""
        return {
            **ref_fields(self.place),
            "root": self.grant.root,
            "boot": self.grant.boot,
            "epoch": epoch,
            "follows": self.grant.follows,
            "log_size": self.log.size,
        }

    def request(self, wish: str) -> bool:
        """Record a request to it; return whether the request is to be sent."""
        ends = ("stop", "kill")
        if self.requested in ends and wish not in ends:
            return False  # it is being stopped
        self.requested = wish
        return True


@dataclass(frozen=True)
class EndMessage:
    """The end of an attempt, as the node reports it."""

    record: bytes
    log_size: int
    log_crc: Optional[int]
    checkpoint: str

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> EndMessage:
        """Return the content of a message. Raises KeyError, ValueError, TypeError."""
        crc = message["log_crc"]
        return cls(
            to_bytes(message["record"]),
            int(message["log_size"]),
            None if crc is None else int(crc),
            str(message.get("checkpoint", "")),
        )


class RemoteAttempts:
    """All known attempts on nodes; counts them by node."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._given: Dict[str, RemoteAttempt] = {}

    def __contains__(self, place: AttemptRef) -> bool:
        return place.mark in self._given

    def __iter__(self) -> Iterator[RemoteAttempt]:
        return iter(list(self._given.values()))

    def get(self, place: AttemptRef) -> Optional[RemoteAttempt]:
        """Return an attempt, None if no node has it."""
        return self._given.get(place.mark)

    def node_of(self, given: RemoteAttempt) -> Optional[Node]:
        """Return the node that has an attempt, None if it is not configured."""
        return self._nodes.get(given.grant.node)

    def send(self, given: RemoteAttempt, say: str, **more: Any) -> None:
        """Send a message about an attempt to its node, if the node is connected."""
        node = self.node_of(given)
        if node is not None:
            node.send({"say": say, **ref_fields(given.place), **more})

    def add(self, given: RemoteAttempt) -> None:
        """Add an attempt, and count it for its node."""
        self._given[given.place.mark] = given
        node = self.node_of(given)
        if node is not None:
            node.count(given.grant.takes)

    def remove(self, given: RemoteAttempt) -> None:
        """Remove an attempt that its node no longer has."""
        if self._given.pop(given.place.mark, None) is None:
            return
        node = self.node_of(given)
        if node is not None:
            node.count(given.grant.takes, -1)

    def find(self, node: Node, message: Mapping[str, Any]) -> Optional[RemoteAttempt]:
        """Return the attempt that a message of a node is about."""
        index, attempt = message.get("index"), message.get("attempt")
        for letter in ("", "u", "p"):
            mark = f"{message.get('run')}/{index}.{attempt}{letter}"
            given = self._given.get(mark)
            if given is None or given.grant.node != node.name:
                continue
            fields = ref_fields(given.place)
            if all(message.get(name) == value for name, value in fields.items()):
                return given
        return None
