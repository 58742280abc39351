"""A node, as its owner sees it: connected, being connected to, or out of reach."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional

from provctl import __version__
from provctl.executors.remote.grants import is_word
from provctl.executors.remote.messages import PROTOCOL, version_problem
from provctl.executors.remote.room import Room
from provctl.executors.remote.ssh_link import SshLink

if TYPE_CHECKING:
    from provctl.core.model.workflow import Placement
    from provctl.executors.remote.messages import Message
    from provctl.executors.remote.node_config import NodeConfig
    from provctl.executors.remote.node_records import NodeRecords

_GREET_S = 30.0  # from the start of ssh to the agent's first message
_PING_S = 10.0
_IDLE_PING_S = 60.0  # while the node has no attempt
_SILENT_S = 30.0  # wait after a ping; ssh itself notices a dead link sooner
_NOTED_S = 15.0  # between two records of when the node last answered
_STEADY_S = 10.0  # a connection that lasted this long counts as stable
_RETRIES_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class NodeStatus(enum.Enum):
    """Whether messages reach a node."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class NodeCallbacks:
    """The callbacks about a node. `is_needed` returns whether to reconnect."""

    on_ready: Callable[[Node], None]
    on_messages: Callable[[Node, List[Message]], None]
    on_lost: Callable[[Node, str], None]
    is_needed: Callable[[Node], bool]
    clock: Callable[[], float]


class Node:
    """One node, and the connection to it."""

    def __init__(
        self, config: NodeConfig, records: NodeRecords, callbacks: NodeCallbacks
    ) -> None:
        self.config = config
        self.name = config.name
        self.status = NodeStatus.IDLE
        self.given = 0  # known number of attempts on the node
        self.room = Room(config)
        self.hello: Mapping[str, Any] = {}
        self.connection = 0  # number of the current connection
        self.problem = ""
        self.lost_since: Optional[float] = None  # by the event loop's clock
        self._records = records
        self._callbacks = callbacks
        self._link: Optional[SshLink] = None
        self._alarm: Optional[asyncio.TimerHandle] = None
        self._pings: Optional[asyncio.TimerHandle] = None
        self._failures = 0
        self._ready_at = 0.0  # by the event loop's clock
        self._heard_at = 0.0  # by the event loop's clock
        self._noted_at = 0.0
        self._closed = False

    @property
    def boot(self) -> str:
        """The boot id that the node reported."""
        return str(self.hello.get("boot", ""))

    @property
    def root(self) -> str:
        """The id of its folder of evidence."""
        return str(self.hello.get("root", ""))

    @property
    def is_drained(self) -> bool:
        """Whether it gets no new attempts."""
        return self._records.is_drained(self.name)

    def connect(self) -> None:
        """Connect, unless connected, connecting, or waiting to reconnect."""
        if self.status is NodeStatus.IDLE and not self._closed:
            self._loop = asyncio.get_running_loop()
            self._open()

    def count(self, wanted: Placement, sign: int = 1) -> None:
        """Count an attempt granted to the node; with `sign` -1, one that has ended."""
        self.given += sign
        self.room.take(wanted, sign)
        if sign > 0 and self.given == 1 and self._pings is not None:
            # Ping at the shorter interval, so that the time of the last answer is
            # recent.
            self._pings.cancel()
            self._set_ping()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. If the node is not connected, the message is dropped."""
        if self._link is not None and self.status is NodeStatus.READY:
            self._link.send(message)

    def close(self) -> None:
        """Close the connection. The agent exits, its attempts continue."""
        self._closed = True
        self._cancel_alarms()
        if self._link is not None:
            if self.status is NodeStatus.READY:
                self._note()
            self._link.close()
        self.status = NodeStatus.IDLE

    def wait_for_end(self, within_s: float) -> None:
        """Wait until a closed connection has ended."""
        if self._link is not None:
            self._link.wait(within_s=within_s)
            self._link = None

    # -- the connection ----------------------------------------------------------------

    def _open(self) -> None:
        self.status = NodeStatus.CONNECTING
        self.connection += 1
        number = self.connection
        try:
            self._link = SshLink(
                self.config.command,
                lambda messages: self._on_messages(number, messages),
                lambda why: self._on_end(number, why),
            )
        except OSError as problem:
            why = f"ssh cannot be started: {problem.strerror}"
            self._loop.call_soon(self._on_end, number, why)
            return
        self._alarm = self._loop.call_later(
            _GREET_S, self._drop, "its agent did not answer"
        )

    def _on_messages(self, number: int, messages: List[Message]) -> None:
        if number != self.connection or self._closed:
            return
        self._heard_at = self._loop.time()
        if self.status is NodeStatus.CONNECTING:
            first, *messages = messages
            self._greet(first)
        if self.status is not NodeStatus.READY:
            return
        refused = [m for m in messages if m["say"] == "refused"]
        if refused:
            self._drop(str(refused[0].get("reason")))
            return
        if self._heard_at - self._noted_at > _NOTED_S and self.given:
            self._note()
        if messages:
            self._callbacks.on_messages(self, messages)

    def _greet(self, hello: Message) -> None:
        problem = None
        if hello["say"] != "hello":
            problem = str(hello.get("reason", "its first message is no hello"))
        problem = problem or version_problem(hello, __version__)
        if not problem and not (
            is_word(hello.get("boot")) and is_word(hello.get("root"))
        ):
            problem = "its agent does not say which boot and folder it has"
        if problem:
            self._drop(problem)
            return
        assert self._link is not None
        self.hello = {name: hello[name] for name in hello if name != "say"}
        self._cancel_alarms()
        self._link.send({"say": "hello", "v": PROTOCOL, "version": __version__})
        self.status = NodeStatus.READY
        self.problem, self.lost_since = "", None
        self._ready_at = self._loop.time()
        self._note()
        self._set_ping()
        self._callbacks.on_ready(self)

    def _drop(self, why: str) -> None:
        """Give up a connection that is useless."""
        if self._link is not None:
            link, self._link = self._link, None
            link.drop()
        self._on_end(self.connection, why)

    def _on_end(self, number: int, why: str) -> None:
        if number != self.connection or self._closed:
            return
        self._link = None
        self.connection += 1  # later messages of the old connection are ignored
        self._cancel_alarms()
        was_ready = self.status is NodeStatus.READY
        if was_ready and self._loop.time() - self._ready_at > _STEADY_S:
            self._failures = 0
        self.status = NodeStatus.UNREACHABLE
        self.problem = why
        if self.lost_since is None:
            self.lost_since = self._loop.time()
        if was_ready:
            self._note()
        wait_s = _RETRIES_S[min(self._failures, len(_RETRIES_S) - 1)]
        self._failures += 1
        self._alarm = self._loop.call_later(wait_s, self._try_again)
        self._callbacks.on_lost(self, why)

    def _try_again(self) -> None:
        self.status = NodeStatus.IDLE
        if self._callbacks.is_needed(self):
            self._open()

    # -- pings -------------------------------------------------------------------------

    def _set_ping(self) -> None:
        wait_s = _PING_S if self.given else _IDLE_PING_S
        self._pings = self._loop.call_later(wait_s, self._ping)

    def _ping(self) -> None:
        self.send({"say": "ping"})
        self._pings = self._loop.call_later(
            _SILENT_S, self._check_answer, self._loop.time()
        )

    def _check_answer(self, asked_at: float) -> None:
        if self._heard_at < asked_at:
            self._drop(f"no answer for {_SILENT_S:.0f} s")
        else:
            self._set_ping()

    def _note(self) -> None:
        self._noted_at = self._heard_at
        heard_at = self._callbacks.clock() - (self._loop.time() - self._heard_at)
        self._records.write(self.name, heard_at, self.hello, self.problem)

    def _cancel_alarms(self) -> None:
        for alarm in (self._alarm, self._pings):
            if alarm is not None:
                alarm.cancel()
        self._alarm = self._pings = None
