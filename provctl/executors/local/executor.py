"""The local executor: sends launch specs to the shim pool, and adopts attempts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from provctl.core.engine.requests import (
    AdoptedReport,
    NeverStartedReport,
    Report,
    UnknownReport,
)
from provctl.errors import JournalDamaged, StateDirError
from provctl.executors.local import attempt_file

if TYPE_CHECKING:
    from provctl.core.model.status import TaskOutcome
    from provctl.executors.protocol import AttemptRef, LaunchSpec, ReportCallback


_AGAIN_S = 0.5  # between two signals to a shim of an earlier owner
# The signal that makes a shim of an earlier owner do what the message does.
_SIGNALS = {
    "stop": signal.SIGTERM,
    "kill": signal.SIGQUIT,
    "freeze": signal.SIGUSR1,
    "thaw": signal.SIGUSR2,
}
_ROOT = str(Path(__file__).parents[3])
# Isolated and without site packages, because every fork copies this process.
_PARENT = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from provctl.executors.local.shim_pool import main; main()",
    _ROOT,
)


class LocalExecutor:
    """Runs attempts under shims. Implements `executors.protocol.Executor`."""

    def __init__(self) -> None:
        self._parent: Optional[subprocess.Popen[bytes]] = None
        self._socket: Optional[socket.socket] = None
        self._news = -1  # read end of the pipe to which shims write
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._tell: Optional[ReportCallback] = None
        self._launched: Dict[str, AttemptRef] = {}
        self._wishes: Dict[str, str] = {}  # the last request, by attempt mark
        self._unread = b""
        self._unsent = bytearray()  # bytes for the parent, which is busy
        self._revival: Optional[asyncio.TimerHandle] = None
        # Start it at once, so that it gets ready while this process imports and reads
        # files.
        self._start_parent()

    def start(self, tell: ReportCallback) -> None:
        """Get ready. Reports are passed to `tell` in the running loop."""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._listen()

    def _listen(self) -> None:
        assert self._loop is not None
        assert self._socket is not None
        self._loop.add_reader(self._socket.fileno(), self._parent_died)
        self._loop.add_reader(self._news, self._on_pipe_readable)

    def _start_parent(self) -> None:
        heard, news = os.pipe()
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                # A session of its own: Ctrl-C at the terminal must reach only the
                # owner.
                self._parent = subprocess.Popen(
                    [*_PARENT, str(theirs.fileno()), str(news)],
                    pass_fds=[theirs.fileno(), news],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError:
            os.close(heard)
            raise
        finally:
            os.close(news)
        self._socket, self._news = ours, heard
        self._unread = b""
        self._unsent.clear()

    def launch(self, order: LaunchSpec) -> None:
        """Send a launch spec to the parent of the shims."""
        key = order.place.mark
        self._launched[key] = order.place
        message: Dict[str, Any] = {
            **vars(order),
            "key": key,
            "folder": str(order.place.folder),
            "name": order.place.name,
        }
        for name in ("place", "input", "masked"):
            del message[name]
        if order.input is not None:
            message["input"] = order.input.decode()
        if order.masked:
            from provctl.base.redact import encodings_of

            message["masked"] = encodings_of(order.masked)
        self._send("launch", key, message)

    def stop(self, place: AttemptRef, *, now: bool) -> None:
        """Stop an attempt. An attempt that has not started never will."""
        if _fenced_off(place) and not attempt_file.has_evidence(place):
            self._forget(place)
            self._report_soon(
                _never_started(place, "it was cancelled before it started")
            )
        else:
            self._send_signal_request(place, "kill" if now else "stop")

    def suspend(self, place: AttemptRef) -> None:
        """Stop the processes of an attempt until `resume`."""
        self._send_signal_request(place, "freeze")

    def resume(self, place: AttemptRef) -> None:
        """Resume a suspended attempt."""
        self._send_signal_request(place, "thaw")

    def _send_signal_request(self, place: AttemptRef, wish: str) -> None:
        key = place.mark
        if self._wishes.get(key) in ("stop", "kill") and wish not in ("stop", "kill"):
            return  # it is being stopped
        self._wishes[key] = wish
        if key in self._launched:
            self._send("signal", key, {"tell": key, "what": wish})
        else:
            self._signal_adopted(place, wish)

    def _signal_adopted(self, place: AttemptRef, wish: str) -> None:
        """Repeat a signal until the shim obeys or the request changes.

        A shim ignores signals until its old parent has noticed that their owner died.
        """
        assert self._loop is not None
        if self._wishes.get(place.mark) != wish:
            return
        try:
            has_shim = _signal_orphan(place, _SIGNALS[wish])
        except OSError:  # no descriptor is free: try later
            has_shim = True
        if has_shim:
            self._loop.call_later(_AGAIN_S, self._ask_again, place, wish)
        else:
            self._forget(place)

    def _ask_again(self, place: AttemptRef, wish: str) -> None:
        obeyed = {
            "freeze": attempt_file.is_frozen(place),
            "thaw": not attempt_file.is_frozen(place),
        }
        if not obeyed.get(wish, False):
            self._signal_adopted(place, wish)

    def _forget(self, place: AttemptRef) -> None:
        self._launched.pop(place.mark, None)
        self._wishes.pop(place.mark, None)

    def recover(self, place: AttemptRef, *, rebooted: bool) -> Report:
        """Find out the state of an attempt; adopt it if it is running.

        Checks the lock before it reads the record, because a shim seals the record
        before it unlocks: if the file is unlocked, its content is final. Raises
        StateDirError if the disk cannot be written to or no descriptor is free, and
        JournalDamaged if no shim of this attempt wrote the file.
        """
        try:
            return self._recover_report(place, rebooted=rebooted)
        except OSError as problem:
            message = f"{place.file('go')}: {problem.strerror}"
            raise StateDirError(message) from problem

    def _recover_report(self, place: AttemptRef, *, rebooted: bool) -> Report:
        if attempt_file.is_running(place):
            self._watch(place)
            return AdoptedReport(place.run, place.task, place.attempt)
        report = attempt_file.read_exit_record(place)
        if report is not None:
            return report
        if attempt_file.take_fence(place):
            if attempt_file.has_evidence(place):
                return _unknown(place, "its exit record is missing", rebooted=rebooted)
            return _never_started(place, "it never started")
        if attempt_file.is_running(place):
            # It passed the fence in the meantime.
            self._watch(place)
            return AdoptedReport(place.run, place.task, place.attempt)
        what = "the machine was rebooted" if rebooted else "its supervisor died"
        what += " while it ran"
        return attempt_file.read_exit_record(place) or _unknown(
            place, what, rebooted=rebooted
        )

    def close(self) -> None:
        """Close the executor: the parent exits, each shim exits after its attempt."""
        if self._revival is not None:
            self._revival.cancel()
            self._revival = None
        if self._socket is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._socket.fileno())
                self._loop.remove_writer(self._socket.fileno())
                self._loop.remove_reader(self._news)
            with suppress(OSError):  # the parent died
                self._socket.sendall(self._unsent)
            self._socket.close()
            self._socket = None
            os.close(self._news)
        if self._parent is not None:
            self._parent.wait()
            self._parent = None

    # -- reports -----------------------------------------------------------------------

    def _on_pipe_readable(self) -> None:
        data = os.read(self._news, 1 << 16)
        *lines, self._unread = (self._unread + data).split(b"\n")
        reports = [self._report_of(*line.split(b"\t", 2)) for line in lines]
        self._report([report for report in reports if report is not None])

    def _report_of(
        self, key: bytes, shortage: bytes, record: bytes
    ) -> Optional[Report]:
        """Return the report for one line (see `channel.notify_owner`).

        The shim made the record durable before it sent it.
        """
        place = self._launched.get(key.decode())
        if place is None:  # a shim that exits with its attempt is reported twice
            return None
        self._forget(place)
        if shortage:
            # It needs no fence: no shim has this attempt any more.
            return _never_started(
                place, shortage.decode("utf-8", "replace"), shortage=True
            )
        return self._outcome(place, record + b"\n")

    def _outcome(self, place: AttemptRef, record: bytes = b"") -> Optional[Report]:
        """Return the report about an attempt; None if the outcome is not known yet.

        Reads the exit record from the attempt file, unless it is passed in `record`.
        """
        assert self._loop is not None
        try:
            return (
                attempt_file.parse_exit_record(record, place)
                or attempt_file.read_exit_record(place)
                or self._recover_report(place, rebooted=False)
            )
        except OSError:
            self._loop.call_later(_AGAIN_S, self._check_orphans, place)
            return None
        except StateDirError as problem:
            reason = f"its exit record could not be written: {problem.message}"
        except JournalDamaged as problem:
            reason = problem.message
        return UnknownReport(place.run, place.task, place.attempt, "lost", reason)

    def _check_orphans(self, *places: AttemptRef) -> None:
        """Check attempts that no shim pool reports, or no longer does."""
        over: List[Report] = []
        for place in places:
            report = self._outcome(place)
            if isinstance(report, AdoptedReport):
                if place.mark in self._wishes:
                    # The last message may not have arrived.
                    self._signal_adopted(place, self._wishes[place.mark])
            elif report is not None:
                self._forget(place)
                over.append(report)
        self._report(over)

    def _parent_died(self) -> None:
        """Start another parent, and adopt the attempts: their shims still run."""
        self.close()
        self._restart_pool()

    def _restart_pool(self) -> None:
        try:
            self._start_parent()
        except OSError:  # the shortage that killed the old one may persist
            assert self._loop is not None
            self._revival = self._loop.call_later(_AGAIN_S, self._restart_pool)
            return
        self._listen()
        orphans = list(self._launched.values())
        self._launched.clear()
        self._check_orphans(*orphans)

    def _watch(self, place: AttemptRef) -> None:
        """Wait for the lock in a thread: no polling, and no reused process id."""
        loop = self._loop
        assert loop is not None

        def wait() -> None:
            wait_s = 0.0 if attempt_file.wait_for_unlock(place) else _AGAIN_S
            try:
                loop.call_soon_threadsafe(
                    loop.call_later, wait_s, self._check_orphans, place
                )
            except RuntimeError:
                return  # the loop has ended; the next owner reads the record

        try:
            threading.Thread(target=wait, daemon=True, name=place.name).start()
        except RuntimeError:  # no thread available: poll until there is one
            loop.call_later(_AGAIN_S, self._check_orphans, place)

    def _report_soon(self, report: Report) -> None:
        assert self._loop is not None
        self._loop.call_soon(self._report, [report])

    def _report(self, reports: Sequence[Report]) -> None:
        assert self._tell is not None
        if reports:
            self._tell(reports)

    def _send(self, kind: str, key: str, message: Dict[str, object]) -> None:
        """Send a message: first the part for the pool, then the part for the shim."""
        if self._socket is None:
            return  # it died and is not replaced yet: the same applies
        is_waiting = bool(self._unsent)
        self._unsent += f"{kind}\t{key}\t{json.dumps(message)}\n".encode("ascii")
        if not is_waiting and not self._send_some():
            assert self._loop is not None
            self._loop.add_writer(self._socket.fileno(), self._on_socket_writable)

    def _send_some(self) -> bool:
        """Send what fits without waiting; return whether nothing is left."""
        assert self._socket is not None
        try:
            del self._unsent[: self._socket.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return False
        except OSError:  # the parent died: `_parent_died` recovers the attempts
            self._unsent.clear()
        return not self._unsent

    def _on_socket_writable(self) -> None:
        assert self._loop is not None
        assert self._socket is not None
        if self._send_some():
            self._loop.remove_writer(self._socket.fileno())


def _fenced_off(place: AttemptRef) -> bool:
    try:
        return attempt_file.take_fence(place)
    except (OSError, StateDirError):
        return False  # a full disk; then its shim cannot start it either


def _never_started(
    place: AttemptRef, reason: str, *, shortage: bool = False
) -> NeverStartedReport:
    return NeverStartedReport(place.run, place.task, place.attempt, reason, shortage)


def _unknown(place: AttemptRef, what: str, *, rebooted: bool) -> UnknownReport:
    outcome: TaskOutcome = "interrupted" if rebooted else "lost"
    reason = f"{what}; the result is unknown"
    left = 0
    if not rebooted:
        from provctl.executors.local.orphans import kill_leftovers

        left = kill_leftovers(place)
    if left:
        reason += f"; leftover processes killed: {left}"
    return UnknownReport(place.run, place.task, place.attempt, outcome, reason)


def _signal_orphan(place: AttemptRef, number: int) -> bool:
    """Signal the shim of an adopted attempt; return whether it still had a shim.

    The lock proves that the process is its shim.
    """
    pid = attempt_file.shim_pid(place)
    if pid is None or not attempt_file.is_running(place):
        return False
    opened: List[int] = []
    try:
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            opened.append(os.pidfd_open(pid))
            if attempt_file.is_running(place):
                signal.pidfd_send_signal(opened[0], number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    finally:
        for fd in opened:
            os.close(fd)
    return True
