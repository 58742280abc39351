"""The messages of nodes about attempts: checked, made durable, and then reported."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Callable, List, Optional

from provctl.core.engine.requests import (
    AdoptedReport,
    NeverStartedReport,
    Report,
    UnknownReport,
)
from provctl.errors import JournalDamaged
from provctl.executors.local import attempt_file
from provctl.executors.remote.messages import Message, is_sealed_record, to_bytes
from provctl.executors.remote.mirror import store_checkpoint
from provctl.executors.remote.remote_attempt import DAMAGED_MAX, EndMessage

if TYPE_CHECKING:
    from provctl.core.model.status import TaskOutcome
    from provctl.executors.protocol import AttemptRef, ReportCallback
    from provctl.executors.remote.node import Node
    from provctl.executors.remote.remote_attempt import RemoteAttempt, RemoteAttempts
    from provctl.executors.remote.sync_threads import SyncThreads

_AGAIN_S = 5.0  # after a full disk


class NodeReports:
    """Processes messages of nodes. `warn` gets warnings for users.

    Ends of attempts are passed to `tell` once they are durable here.
    """

    def __init__(
        self,
        given: RemoteAttempts,
        threads: SyncThreads,
        tell: ReportCallback,
        warn: Callable[[str], None],
    ) -> None:
        self._given = given
        self._threads = threads
        self._tell = tell
        self._warn = warn
        self._is_storing = False
        self._arrived: List[RemoteAttempt] = []
        self._alarms: List[asyncio.TimerHandle] = []
        self._closed = False

    def take(self, node: Node, messages: List[Message]) -> List[Report]:
        """Return the reports for messages; ends that arrive together share a sync."""
        reports: List[Report] = []
        for message in messages:
            given = self._given.find(node, message)
            if given is None:
                continue
            try:
                report = self._take_one(node, given, message)
            except OSError as problem:
                # No space for a copy: ask the node again later.
                self._warn(f"{given.place.folder}: {problem.strerror}")
                self._ask_later(given)
                continue
            if report is not None:
                reports.append(report)
        self._store_soon()
        return reports

    def close(self) -> None:
        """Stop asking and reporting."""
        self._closed = True
        for alarm in self._alarms:
            alarm.cancel()

    def _take_one(
        self, node: Node, given: RemoteAttempt, message: Message
    ) -> Optional[Report]:
        say = message["say"]
        if say == "log":
            if message["at"] == 0:
                given.log.cut(int(message["size"]))
            given.log.write(int(message["at"]), to_bytes(message["data"]))
        elif say == "end":
            return self._take_end(given, message)
        elif say == "state":
            return self._take_state(node, given, message)
        return None

    def _take_end(self, given: RemoteAttempt, message: Message) -> Optional[Report]:
        if given.arrived is not None:
            return None  # it is being stored
        whole = False
        try:
            arrived = EndMessage.of(message)
            whole = is_sealed_record(arrived.record, given.place.mark)
        except (KeyError, ValueError, TypeError):
            pass
        if whole and arrived.log_crc is not None:
            given.log.cut(arrived.log_size)
            whole = given.log.is_as(arrived.log_size, arrived.log_crc)
        if whole:
            given.arrived = arrived
            self._arrived.append(given)
            return None
        if given.damaged < DAMAGED_MAX:
            given.damaged += 1
            self._given.send(given, "again")
            return None
        self._given.remove(given)
        reason = f"its exit record arrived damaged from {given.grant.node}"
        return unknown(given.place, "lost", f"{reason}; the result is unknown")

    def _take_state(
        self, node: Node, given: RemoteAttempt, message: Message
    ) -> Optional[Report]:
        place, state = given.place, message.get("state")
        reason = f"{message.get('reason')}"
        key = (place.run, place.task, place.attempt)
        if state == "running":
            was_recovered, given.recovered = given.recovered, False
            return AdoptedReport(*key) if was_recovered else None
        self._given.remove(given)
        if state == "refused":
            # This happens, for example, after a state directory was restored from an
            # old copy.
            reason = f"{node.name} refuses it: {reason}; the result is unknown"
            return unknown(place, "lost", reason)
        self._given.send(given, "got")
        if given.given_up:
            return None
        if state == "never":
            shortage = bool(message.get("shortage"))
            reason = f"{reason} (on {node.name})" if shortage else reason
            return NeverStartedReport(*key, reason, shortage)
        outcome: TaskOutcome = (
            "interrupted" if message.get("outcome") == "interrupted" else "lost"
        )
        return unknown(place, outcome, f"on {node.name}: {reason}")

    def _store_soon(self) -> None:
        """Store exit records; those that arrive during a sync share the next one."""
        if self._is_storing or not self._arrived:
            return
        arrived, self._arrived = self._arrived, []
        kept = [
            (each.place, each.arrived)
            for each in arrived
            if each.arrived is not None and not each.given_up
        ]
        self._is_storing = True
        try:
            for place, end in kept:
                if end.checkpoint:
                    store_checkpoint(place, end.checkpoint)
        except OSError as problem:
            self._on_stored(arrived, problem)
            return
        self._threads.store_records(
            ((place, end.record) for place, end in kept),
            partial(self._on_stored, arrived),
        )

    def _on_stored(
        self, arrived: List[RemoteAttempt], problem: Optional[OSError]
    ) -> None:
        """Report what is durable, and acknowledge it to the nodes."""
        self._is_storing = False
        if self._closed:
            return  # the next owner reads it
        reports: List[Report] = []
        if problem is None:
            reports = [r for given in arrived for r in self._reports_of(given)]
        else:
            self._warn(f"exit records cannot be stored: {problem.strerror}")
            for given in arrived:
                given.arrived = None
                self._ask_later(given)
        self._store_soon()
        self._tell(reports)

    def _reports_of(self, given: RemoteAttempt) -> List[Report]:
        self._given.remove(given)
        if given.given_up:
            return []  # it was reported as lost, and remains lost
        self._given.send(given, "got")
        try:
            ended = attempt_file.read_exit_record(given.place)
        except (OSError, JournalDamaged) as problem:
            return [unknown(given.place, "lost", str(problem))]
        assert ended is not None, "it was just stored"
        return [ended]

    def _ask_later(self, given: RemoteAttempt) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._alarms = [alarm for alarm in self._alarms if alarm.when() > now]
        alarm = loop.call_later(_AGAIN_S, self._given.send, given, "again")
        self._alarms.append(alarm)


def unknown(place: AttemptRef, outcome: TaskOutcome, reason: str) -> UnknownReport:
    """Return the report of an attempt whose result cannot be known."""
    return UnknownReport(place.run, place.task, place.attempt, outcome, reason)
