"""The agent: runs attempts on this machine for an owner on another one.

It communicates over its standard streams and exits when they close; its shims continue.
It keeps no state outside the attempt files: a new agent, or a new owner, reads those.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Sequence,
    Set,
    Tuple,
)

from provctl.base.safe_open import read_own
from provctl.core.engine.requests import (
    AdoptedReport,
    ExitedReport,
    NeverStartedReport,
    Report,
    UnknownReport,
)
from provctl.errors import JournalDamaged, ProvctlError, StateDirError
from provctl.executors.remote.failed_start import store_failure
from provctl.executors.remote.line_channel import LineChannel
from provctl.executors.remote.log_source import LogSource
from provctl.executors.remote.messages import (
    PROTOCOL,
    Message,
    ProtocolMismatch,
    ref_fields,
    ref_of,
    spec_of,
    to_text,
    version_problem,
)
from provctl.executors.remote.mirror import read_checkpoint, store_checkpoint

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef, Executor, LaunchSpec
    from provctl.executors.remote.agent_root import AgentRoot

_LOOK_S = 0.1  # between two checks of the logs of running attempts
_QUIET_S = 0.5  # the same, once no log has grown for a while
_QUIET_AFTER = 20  # checks
_BACKLOG_MAX = 1 << 19  # unsent bytes; no log is read above this
_SILENCE_S = 180.0  # a live owner sends a message more often
_CHECKPOINT_MAX = 1 << 18

# Completes a launch spec with what only this machine knows. Raises ProvctlError.
Complete = Callable[["LaunchSpec"], "LaunchSpec"]
_Key = Tuple[str, str, int]


def _key(place: AttemptRef) -> _Key:
    """Return the key of an attempt in reports."""
    return place.run, place.task, place.attempt


class _Watched:
    """An attempt that the owner waits for."""

    def __init__(self, place: AttemptRef, *, follows: bool, log_size: int) -> None:
        self.place = place
        self.follows = follows
        self.log = LogSource(place, log_size)
        self.report: Any = None  # set once it is over
        self.is_sending = False


class Agent:
    """Serves one owner until it is gone. Create it inside a running event loop."""

    def __init__(
        self,
        root: AgentRoot,
        executor: Executor,
        complete: Complete,
        facts: Mapping[str, Any],
    ) -> None:
        self._root = root
        self._executor = executor
        self._complete = complete
        self._facts = {"say": "hello", "v": PROTOCOL, "root": root.id, **facts}
        self._watched: Dict[_Key, _Watched] = {}
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._over = asyncio.Event()
        self._works = asyncio.Event()  # set while an attempt is watched
        self._is_known = False
        self._tasks: Set[asyncio.Task[None]] = set()

    async def run(self, read_fd: int, write_fd: int) -> None:
        """Serve until the owner closes the streams or is silent for too long."""
        loop = asyncio.get_running_loop()
        self._executor.start(self._on_reports)
        self._channel = LineChannel(
            (read_fd, write_fd), self._on_messages, lambda _why: self._over.set()
        )
        self._silence = loop.call_later(_SILENCE_S, self._over.set)
        self._channel.send(self._facts)
        self._start(self._handle_all())
        self._start(self._follow_logs())
        try:
            await self._over.wait()
        finally:
            for task in list(self._tasks):
                task.cancel()
            self._silence.cancel()
            self._executor.close()

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._over.set()  # the owner reconnects and asks again
            task.result()

    # -- messages from the owner -------------------------------------------------------

    def _on_messages(self, messages: List[Message]) -> None:
        self._silence.cancel()
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(_SILENCE_S, self._over.set)
        for message in messages:
            self._messages.put_nowait(message)

    async def _handle_all(self) -> None:
        while True:
            message = await self._messages.get()
            try:
                await self._handle(message)
            except ProtocolMismatch as problem:
                self._channel.send({"say": "refused", "reason": problem.message})

    async def _handle(self, message: Message) -> None:
        say = message["say"]
        if not self._is_known:
            self._greet(message)
        elif say == "launch":
            await self._launch(message)
        elif say == "ask":
            for fields in message["attempts"]:
                await self._recover(fields)
        elif say == "tell":
            self._tell(message)
        elif say == "got":
            self._forget(ref_of(message, self._root.runs))
        elif say == "again":
            self._send_again(ref_of(message, self._root.runs))
        elif say == "ping":
            self._channel.send({"say": "pong"})

    def _greet(self, message: Message) -> None:
        problem = version_problem(message, str(self._facts.get("version")))
        if message["say"] != "hello" or problem:
            reason = problem or "its first message is no hello"
            self._channel.send({"say": "refused", "reason": reason})
            self._channel.close()
            self._over.set()
            return
        self._is_known = True

    async def _launch(self, message: Message) -> None:
        place = ref_of(message, self._root.runs)
        if not await self._may_serve(place, message):
            return
        if _key(place) in self._watched:
            return  # a repeated message
        order = spec_of(message["spec"], place)
        self._watch(place, message)
        try:
            self._root.make_folder(place)
            if message.get("checkpoint"):
                store_checkpoint(place, message["checkpoint"])
        except OSError as problem:
            reason = f"{place.folder}: {problem.strerror}"
            report = NeverStartedReport(
                place.run, place.task, place.attempt, reason, shortage=True
            )
            self._on_reports([report])
            return
        try:
            order = self._complete(order)
        except ProvctlError as problem:
            why = "; ".join(filter(None, (problem.message, problem.hint)))
            store_failure(place, why)
            self._report_recovered(place, message)
            return
        self._executor.launch(order)

    async def _recover(self, fields: Message) -> None:
        place = ref_of(fields, self._root.runs)
        if not await self._may_serve(place, fields):
            return
        if _key(place) not in self._watched:
            self._watch(place, fields)
            self._root.make_folder(place)
            self._report_recovered(place, fields)
        else:
            # On the same connection: the owner only wants the state again.
            self._send_state(place, "running")

    def _report_recovered(self, place: AttemptRef, fields: Message) -> None:
        rebooted = fields["boot"] != self._facts["boot"]
        try:
            report = self._executor.recover(place, rebooted=rebooted)
        except (StateDirError, JournalDamaged) as problem:
            report = UnknownReport(
                place.run, place.task, place.attempt, "lost", problem.message
            )
        assert report is not None
        self._on_reports([report])

    async def _may_serve(self, place: AttemptRef, fields: Message) -> bool:
        if fields["root"] != self._root.id:
            # Evidence that is missing here may have been on the other disk: the result
            # is unknown.
            reason = "the evidence on the node is gone: its folder is another one"
            self._send_state(place, "unknown", outcome="lost", reason=reason)
            return False
        problem = await self._root.serve(place.run, fields["epoch"])
        if problem:
            self._send_state(place, "refused", reason=problem)
        return not problem

    def _tell(self, message: Message) -> None:
        place = ref_of(message, self._root.runs)
        watched = self._watched.get(_key(place))
        if watched is None or watched.report is not None:
            return
        what = message.get("what")
        if what in ("stop", "kill"):
            self._executor.stop(place, now=what == "kill")
        elif what == "freeze":
            self._executor.suspend(place)
        elif what == "thaw":
            self._executor.resume(place)

    def _forget(self, place: AttemptRef) -> None:
        """Remove the files that the owner has copied. The fence stays for good."""
        watched = self._watched.pop(_key(place), None)
        if watched is None:
            return
        for suffix in ("log", "in", "new"):
            with suppress(OSError):
                place.file(suffix).unlink()
        self._root.release_idle({run for run, _, _ in self._watched})

    def _send_again(self, place: AttemptRef) -> None:
        watched = self._watched.get(_key(place))
        if watched is not None and watched.report is not None:
            watched.log.restart()
            self._send_end(watched)

    # -- messages to the owner ---------------------------------------------------------

    def _watch(self, place: AttemptRef, fields: Message) -> None:
        self._watched[_key(place)] = _Watched(
            place,
            follows=bool(fields.get("follows")),
            log_size=int(fields.get("log_size", 0)),
        )
        self._works.set()

    def _on_reports(self, reports: Sequence[Report]) -> None:
        for report in reports:
            watched = self._watched.get((report.run, report.task, report.attempt))
            if watched is None or watched.report is not None:
                continue
            if isinstance(report, AdoptedReport):
                self._send_state(watched.place, "running")
            else:
                watched.report = report
                self._send_end(watched)

    def _send_state(self, place: AttemptRef, state: str, **more: Any) -> None:
        self._channel.send(
            {"say": "state", "state": state, **ref_fields(place), **more}
        )

    def _send_end(self, watched: _Watched) -> None:
        if not watched.is_sending:
            watched.is_sending = True
            if watched.log.is_behind or self._channel.backlog > _BACKLOG_MAX:
                self._start(self._send_log_and_end(watched))
            else:
                self._send_end_now(watched, watched.log.sum())

    async def _send_log_and_end(self, watched: _Watched) -> None:
        while True:
            while self._send_log(watched):
                await self._until_sent()
            loop = asyncio.get_running_loop()
            total = await loop.run_in_executor(None, watched.log.sum)
            if not watched.log.is_behind:
                break
        self._send_end_now(watched, total)

    def _send_end_now(self, watched: _Watched, total: Any) -> None:
        """Send how an attempt ended, after the last byte of its log."""
        watched.is_sending = False
        place, report = watched.place, watched.report
        log = {"log_size": watched.log.size, "log_crc": total}
        if isinstance(report, NeverStartedReport):
            self._send_state(
                place, "never", reason=report.reason, shortage=report.shortage
            )
        elif isinstance(report, UnknownReport):
            self._send_state(
                place, "unknown", outcome=report.outcome, reason=report.reason
            )
        else:
            assert isinstance(report, ExitedReport)
            self._channel.send(
                {
                    "say": "end",
                    **ref_fields(place),
                    "record": to_text(read_own(place.file("go"))),
                    "checkpoint": read_checkpoint(place, _CHECKPOINT_MAX),
                    **log,
                }
            )

    def _send_log(self, watched: _Watched) -> bool:
        """Send a block of a log; return whether there was one."""
        found = watched.log.read()
        if found is None:
            return False
        at, data = found
        self._channel.send(
            {
                "say": "log",
                **ref_fields(watched.place),
                "at": at,
                "size": watched.log.size,
                "data": to_text(data),
            }
        )
        return True

    async def _follow_logs(self) -> None:
        quiet = 0
        while True:
            if not self._watched:
                self._works.clear()
                await self._works.wait()
                quiet = 0
            await asyncio.sleep(_LOOK_S if quiet < _QUIET_AFTER else _QUIET_S)
            grew = False
            for watched in list(self._watched.values()):
                while (
                    watched.follows
                    and watched.report is None
                    and self._channel.backlog < _BACKLOG_MAX
                    and self._send_log(watched)
                ):
                    grew = True
                    await asyncio.sleep(0)
            quiet = 0 if grew else quiet + 1

    async def _until_sent(self) -> None:
        while self._channel.backlog > _BACKLOG_MAX:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(_LOOK_S)
