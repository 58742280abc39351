"""The executor for nodes: grants attempts to nodes, mirrors and recovers them.

The owner decides which node starts an attempt, by a grant that is durable before it is
sent. The node's own files show what happened; they are copied to the run's folder. So
neither an agent, nor a connection, nor another owner can start an attempt twice.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence, Set, Tuple

from provctl.core.engine.requests import (
    NeverStartedReport,
    Report,
)
from provctl.core.model.workflow import ANYWHERE, Placement
from provctl.errors import StateDirError
from provctl.executors.local import attempt_file
from provctl.executors.remote.grants import (
    Grant,
    GrantExists,
    is_granted,
    next_epoch,
    read_grant,
    write_grant,
)
from provctl.executors.remote.messages import (
    Message,
    spec_fields,
)
from provctl.executors.remote.mirror import (
    read_checkpoint,
)
from provctl.executors.remote.node import Node, NodeCallbacks, NodeStatus
from provctl.executors.remote.node_reports import NodeReports, unknown
from provctl.executors.remote.own_machine import unknown_node
from provctl.executors.remote.placement import choose_node, may_run_on
from provctl.executors.remote.remote_attempt import RemoteAttempt, RemoteAttempts
from provctl.executors.remote.room import LOCAL
from provctl.executors.remote.sync_threads import SyncThreads

if TYPE_CHECKING:
    from provctl.executors.protocol import (
        AttemptRef,
        Executor,
        LaunchSpec,
        ReportCallback,
    )
    from provctl.executors.remote.node_config import NodeConfig
    from provctl.executors.remote.node_records import NodeRecords

_END_S = 1.0  # limit for all connections together to end
_CHECKPOINT_MAX = 1 << 18


class RemoteExecutor:
    """Runs attempts on nodes, and those for this machine by `local`.

    Implements `executors.protocol.Executor`. If a node is out of reach for
    `lost_after_s` seconds, its attempts are lost; 0: never. `usual` is the placement of
    launch specs without one.
    """

    def __init__(
        self,
        nodes: Sequence[NodeConfig],
        local: Executor,
        records: NodeRecords,
        *,
        clock: Callable[[], float],
        lost_after_s: float = 0.0,
        usual: Placement = ANYWHERE,
    ) -> None:
        callbacks = NodeCallbacks(
            self._on_ready, self._on_messages, self._on_lost, self._is_needed, clock
        )
        self.nodes = {each.name: Node(each, records, callbacks) for each in nodes}
        self.warn: Callable[[str], None] = lambda _words: None
        self._local = local
        self._lost_after_s = lost_after_s
        self._usual = usual
        self._given = RemoteAttempts(self.nodes)
        self._threads = SyncThreads()
        self._node_reports = NodeReports(
            self._given,
            self._threads,
            lambda reports: self._report(reports),
            lambda words: self.warn(words),
        )
        self._waiting: Dict[str, LaunchSpec] = {}
        self._frozen: Set[str] = (
            set()
        )  # marks of waiting attempts that must be frozen from the start
        self._warned: Dict[str, str] = {}  # by node, since its last connection
        self._epochs: Dict[str, int] = {}
        self._is_placing = False
        self._is_syncing = False
        self._alarms: Dict[str, asyncio.TimerHandle] = {}
        self._tell: ReportCallback = lambda _reports: None
        self._closed = False

    def start(self, tell: ReportCallback) -> None:
        """Get ready, inside the running event loop; nodes are connected on demand."""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._local.start(tell)

    def on_acquire(self, run: str) -> None:
        """Forget the epoch of a run that had another owner meanwhile.

        The run then gets a higher one, so that agents ignore that owner.
        """
        self._epochs.pop(run, None)

    def close(self) -> None:
        """Close all connections; attempts continue."""
        self._closed = True
        self._node_reports.close()
        for alarm in self._alarms.values():
            alarm.cancel()
        for node in self.nodes.values():
            node.close()
        deadline = time.monotonic() + _END_S
        for node in self.nodes.values():
            node.wait_for_end(max(deadline - time.monotonic(), 0.0))
        self._threads.close()
        self._local.close()

    # -- requests of the scheduler -----------------------------------------------------

    def launch(self, order: LaunchSpec) -> None:
        """Grant an attempt to a node as soon as one has a free slot."""
        if self._wanted(order).node == LOCAL:
            self._local.launch(replace(order, remote=None))
            return
        self._waiting[order.place.mark] = order
        self._place_soon()

    def stop(self, place: AttemptRef, *, now: bool) -> None:
        """Stop an attempt. An attempt that no node has will never start."""
        self._waiting.pop(place.mark, None)
        self._frozen.discard(place.mark)
        if place in self._given or is_granted(place):
            self._tell_node(place, "kill" if now else "stop")
        else:
            self._local.stop(place, now=now)

    def suspend(self, place: AttemptRef) -> None:
        """Stop the processes of an attempt until `resume`."""
        self._suspend_or_resume(place, "freeze", self._local.suspend)

    def resume(self, place: AttemptRef) -> None:
        """Resume a suspended attempt."""
        self._suspend_or_resume(place, "thaw", self._local.resume)

    def _suspend_or_resume(
        self, place: AttemptRef, wish: str, on_local: Callable[[AttemptRef], None]
    ) -> None:
        if place.mark in self._waiting:
            (self._frozen.add if wish == "freeze" else self._frozen.discard)(place.mark)
        elif place in self._given or is_granted(place):
            self._tell_node(place, wish)
        else:
            on_local(place)

    def _tell_node(self, place: AttemptRef, wish: str) -> None:
        given = self._given.get(place)
        if given is None:
            if attempt_file.read_exit_record(place) is not None:
                return  # it is over
            grant = read_grant(place)
            if grant is None:
                return
            given = self._take_over(place, grant)
        if given.request(wish):
            self._send_request(given)

    def _send_request(self, given: RemoteAttempt) -> None:
        if given.requested and given.is_sent:
            self._given.send(given, "tell", what=given.requested)

    def recover(self, place: AttemptRef, *, rebooted: bool) -> Optional[Report]:
        """Find out the state of an attempt; None: its node will report it."""
        grant = read_grant(place)
        if grant is None:
            return self._local.recover(place, rebooted=rebooted)
        try:
            ended = attempt_file.read_exit_record(place)
        except OSError as problem:
            message = f"{place.file('go')}: {problem.strerror}"
            raise StateDirError(message) from problem
        if ended is not None:
            return ended
        if grant.node not in self.nodes:
            raise unknown_node(place, grant.node)
        self._take_over(place, grant)
        return None

    def _take_over(self, place: AttemptRef, grant: Grant) -> RemoteAttempt:
        """Wait for an attempt that was granted before; ask its node about it."""
        given = self._given.get(place)
        if given is None:
            given = RemoteAttempt(place, grant, recovered=True)
            self._given.add(given)
        given.is_sent = True
        given.recovered = True  # this process may have owned the run before
        node = self.nodes.get(grant.node)
        if node is not None:
            if node.status is NodeStatus.READY:
                node.send({"say": "ask", "attempts": [self._question(given, node)]})
            node.connect()
            self._set_lost_alarm(node)
        return given

    def _question(self, given: RemoteAttempt, node: Node) -> Message:
        return given.asked([self._epoch(given.place), node.connection])

    def _epoch(self, place: AttemptRef) -> int:
        """Return the epoch of this owner. Raises OSError if it cannot be stored."""
        if place.run not in self._epochs:
            self._epochs[place.run] = next_epoch(place.folder)
        return self._epochs[place.run]

    # -- placement ---------------------------------------------------------------------

    def _place_soon(self) -> None:
        """Grant all attempts launched in one turn of the loop with one sync."""
        if not self._is_placing and not self._closed:
            self._is_placing = True
            self._loop.call_soon(self._place_now)

    def _place_now(self) -> None:
        self._is_placing = False
        if self._closed or self._is_syncing:
            return  # waiting ones are placed together after the sync
        granted = []
        for mark, order in list(self._waiting.items()):
            wanted = self._wanted(order)
            node = choose_node(self.nodes.values(), wanted)
            if node is None:
                self._connect_for(wanted)
                continue
            del self._waiting[mark]
            given = self._grant(order, node)
            if given is not None:
                granted.append((given, order, node))
        if granted:
            self._is_syncing = True
            folders = {given.place.folder: None for given, _, _ in granted}
            self._threads.sync_folders(folders, partial(self._on_granted, granted))

    def _on_granted(
        self,
        granted: List[Tuple[RemoteAttempt, LaunchSpec, Node]],
        problem: Optional[OSError],
    ) -> None:
        """Send launch specs, now that their grants are durable."""
        self._is_syncing = False
        if self._closed:
            return  # the next owner asks and learns that they never started
        for given, order, node in granted:
            if problem is None and not given.given_up:
                self._send_order(given, order, node)
            elif problem is not None:
                self._not_granted(given, problem)
        if self._waiting:
            self._place_soon()

    def _wanted(self, order: LaunchSpec) -> Placement:
        place = order.remote.place if order.remote is not None else None
        return place or self._usual

    def _connect_for(self, wanted: Placement) -> None:
        for node in self.nodes.values():
            if may_run_on(node, wanted):
                node.connect()

    def _grant(self, order: LaunchSpec, node: Node) -> Optional[RemoteAttempt]:
        """Write the grant of an attempt, unless it may not start any more."""
        place = order.place
        if os.path.lexists(place.file("go")):
            report = self._local.recover(place, rebooted=False)
            if report is not None:
                self._report([report])
            return None
        try:
            epoch = self._epoch(place)
            grant = Grant(
                *(node.name, node.boot, node.root, epoch),
                follows=not order.masked,
                takes=self._wanted(order),
            )
            write_grant(place, grant)
        except GrantExists:
            before = read_grant(place)
            if before is not None and place not in self._given:
                self._take_over(place, before)
            return None
        except OSError as problem:
            self._report([_shortage(place, f"its grant: {problem.strerror}")])
            return None
        given = RemoteAttempt(place, grant, recovered=False)
        self._given.add(given)
        return given

    def _not_granted(self, given: RemoteAttempt, problem: OSError) -> None:
        """Report that an attempt never started: its grant was not sent.

        A grant is sent only once it is durable.
        """
        self._given.remove(given)
        self._report([_shortage(given.place, f"its grant: {problem.strerror}")])

    def _send_order(self, given: RemoteAttempt, order: LaunchSpec, node: Node) -> None:
        place = given.place
        given.is_sent = True
        node.send(
            {
                "say": "launch",
                **given.asked([given.grant.epoch, node.connection]),
                "checkpoint": read_checkpoint(place, _CHECKPOINT_MAX),
                "spec": spec_fields(order),
            }
        )
        if place.mark in self._frozen:
            self._frozen.discard(place.mark)
            given.request("freeze")
        self._send_request(given)

    # -- messages from nodes -----------------------------------------------------------

    def _is_needed(self, node: Node) -> bool:
        return node.given > 0 or any(
            may_run_on(node, self._wanted(order)) for order in self._waiting.values()
        )

    def _on_ready(self, node: Node) -> None:
        self._warned.pop(node.name, None)
        alarm = self._alarms.pop(node.name, None)
        if alarm is not None:
            alarm.cancel()
        mine = [g for g in self._given if g.grant.node == node.name]
        questions = [self._question(given, node) for given in mine if given.is_sent]
        if questions:
            node.send({"say": "ask", "attempts": questions})
        for given in mine:
            self._send_request(given)
        self._place_soon()

    def _on_lost(self, node: Node, why: str) -> None:
        if (node.given or self._waiting) and self._warned.get(node.name) != why:
            self._warned[node.name] = why
            self.warn(f"node {node.name} is not reached: {why}")
        self._set_lost_alarm(node)

    def _set_lost_alarm(self, node: Node) -> None:
        if (
            self._lost_after_s
            and node.given
            and node.status is not NodeStatus.READY
            and node.name not in self._alarms
        ):
            self._alarms[node.name] = self._loop.call_later(
                self._lost_after_s, self._give_up, node
            )

    def _give_up(self, node: Node) -> None:
        """Report the attempts of a node as lost; they are killed if it reconnects."""
        del self._alarms[node.name]
        reports: List[Report] = []
        for given in self._given:
            if given.grant.node == node.name and not given.given_up:
                given.given_up = True
                given.requested = "kill"
                reason = (
                    f"{node.name} was not reached for {self._lost_after_s:g} s"
                    f" ({node.problem}); the result is unknown"
                )
                reports.append(unknown(given.place, "lost", reason))
        self._report(reports)

    def _on_messages(self, node: Node, messages: List[Message]) -> None:
        reports = self._node_reports.take(node, messages)
        if self._waiting:
            self._place_soon()
        self._report(reports)

    def _report(self, reports: Sequence[Report]) -> None:
        if reports and not self._closed:
            self._tell(reports)


def _shortage(place: AttemptRef, reason: str) -> NeverStartedReport:
    return NeverStartedReport(
        place.run, place.task, place.attempt, reason, shortage=True
    )
