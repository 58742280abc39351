"""Reaches the owners of runs: finds them, and starts the scheduler if none runs."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from provctl import __version__
from provctl.api.control.client import call
from provctl.api.control.protocol import encode_request
from provctl.api.control.readiness import ALREADY, READY
from provctl.base.safe_open import reader
from provctl.base.self_command import self_command
from provctl.base.text import plain
from provctl.core.engine.requests import FACTS, REOPENING, Request
from provctl.errors import RequestRejected, SchedulerUnreachable
from provctl.storage.journal.codec import NewerFormat, decode
from provctl.storage.lock import Lock, LockOwner, is_process, lock_owner
from provctl.storage.log_rotation import append, open_log
from provctl.storage.run_summary import summarise

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.storage.layout import RunDir, StateDir


_LOOK_S = 0.02
_LETS_GO_S = 1.0  # between the last answer of an owner and the release of its lock


def log_line(text: str) -> str:
    """Return a line of the scheduler's log."""
    from datetime import datetime, timezone

    now = datetime.now(tz=timezone.utc)  # noqa: TID251  # for users only
    return f"{now:%Y-%m-%dT%H:%M:%SZ} {plain(text)}\n"


def version_mismatch(owner: LockOwner) -> Optional[Tuple[str, str]]:
    """Return a message and a hint for an owner of another version; or None."""
    if owner.version == __version__:
        return None
    who = "the scheduler" if owner.kind == "scheduler" else "the owner of the run"
    versions = (
        f"version mismatch: {who} is provctl {owner.version}, this command is"
        f" {__version__}"
    )
    if _numbers(owner.version) > _numbers(__version__):
        return versions, "use the newer version here too"
    if owner.kind == "scheduler":
        return versions, "provctl scheduler restart (running tasks are not affected)"
    return (
        versions,
        f"stop process {owner.pid} (running tasks continue), then: provctl attach RUN",
    )


def _wait_a_moment() -> None:
    # `time.sleep` can fail if the clock is set meanwhile or is faked.
    select.select([], [], [], _LOOK_S)


def _numbers(version: str) -> List[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


class OwnerClient:
    """Sends requests to the owners of runs in one state directory.

    `environ` is the environment for starting a scheduler. `timeout_s` is how long to
    wait for an answer, in seconds. Without `auto_start` no scheduler is started. `tell`
    gets progress messages and their verbosity level: 1, or 2.
    """

    def __init__(
        self,
        folder: StateDir,
        *,
        environ: Mapping[str, str],
        timeout_s: float,
        auto_start: bool,
        tell: Callable[[str, int], None] = lambda _words, _level: None,
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._timeout_s = timeout_s
        self._auto_start = auto_start
        self._tell = tell

    def scheduler(self) -> Optional[LockOwner]:
        """Return the lock owner of the running scheduler, None if there is none."""
        return lock_owner(self._folder.scheduler / "lock")

    def ensure_scheduler(self, *, asked: bool = False) -> LockOwner:
        """Return the running scheduler; start one if necessary.

        If several callers do this at once, one starts it and the others wait. `asked`:
        the user asked for the start, so `auto_start` is ignored. Raises
        SchedulerUnreachable, StateDirError.
        """
        holder = self.scheduler()
        if holder is not None:
            self._tell(f"scheduler: process {holder.pid}, {holder.version}", 1)
            return holder
        if not (self._auto_start or asked):
            message = "no scheduler is running and orchestrator.auto_start is off"
            raise SchedulerUnreachable(message, hint="provctl scheduler start")
        self._folder.prepare()
        turn = Lock.wait(self._folder.scheduler / "start.lock")
        try:
            holder = self.scheduler()
            if holder is None:
                began = time.perf_counter()
                self._start()
                took_s = time.perf_counter() - began
                self._tell(
                    f"scheduler: started in {took_s:.3f}s, log file {self.log}", 1
                )
                holder = self.scheduler()
                for problem in self.api_status("api_problems"):
                    self._tell(problem, 0)
        finally:
            turn.release()
        if holder is None:
            message = "the scheduler exited immediately after starting"
            raise SchedulerUnreachable(message, hint=f"see {self.log}")
        return holder

    @property
    def log(self) -> Path:
        """The scheduler's own log."""
        return self._folder.scheduler / "log"

    def wake_scheduler(self, verb: str = "poke") -> LockOwner:
        """Make the scheduler read the queue; start it if needed. Return its lock owner.

        With the verb "schedules" it reads the schedules.

        A scheduler that is stopping or starting does not answer, so the request is
        repeated. Raises SchedulerUnreachable.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            holder = self.ensure_scheduler()
            try:
                self.ask_scheduler(verb)
            except SchedulerUnreachable:
                if time.monotonic() >= deadline:
                    raise
                _wait_a_moment()
            else:
                return holder

    def ask_scheduler(self, verb: str, **fields: str) -> Dict[str, Any]:
        """Ask the running scheduler. Raises SchedulerUnreachable, and its refusal."""
        socket = self._folder.scheduler / "control.sock"
        return self._put(socket, {"verb": verb, **fields})

    def start_hooks(self, run_ids: Sequence[str]) -> Optional[subprocess.Popen[bytes]]:
        """Start a process that runs the hooks of finished runs.

        No process has to wait for it. Returns None if it cannot be started; then the
        next scheduler runs the hooks.
        """
        try:
            return self._spawn(["run-hooks", *run_ids])
        except OSError as problem:
            self.log_note(f"hooks of runs {' '.join(run_ids)}: {problem}")
            return None

    def log_note(self, text: str) -> None:
        """Write a line with a timestamp to the scheduler's log."""
        self.write_log(log_line(text))

    def write_log(self, line: str) -> None:
        """Write a line to the scheduler's log unchanged; errors are ignored."""
        append(self.log, line)

    def api_status(self, key: str = "api") -> List[str]:
        """Return where the API of the scheduler listens, empty if none runs.

        With "api_problems" as `key`, return the problems of the API.
        """
        if self.scheduler() is None:
            return []
        with suppress(SchedulerUnreachable):  # the scheduler may have ended just now
            return list(self.ask_scheduler("status").get(key, ()))
        return []

    def stop_scheduler(self) -> Optional[Dict[str, Any]]:
        """Stop the scheduler and wait until it has exited; None if none was running.

        It does not wait for a scheduler that starts later. Raises SchedulerUnreachable,
        also when the scheduler has not exited in time.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            if self.scheduler() is None:
                return None
            try:
                answer = self.ask_scheduler("stop")
            except SchedulerUnreachable as problem:
                # The scheduler is stopping, or the next one is starting.
                if problem.__cause__ is None or time.monotonic() >= deadline:
                    raise
                _wait_a_moment()
            else:
                break
        asked = self.scheduler()
        if asked is not None and asked.pid == answer.get("pid", asked.pid):
            self._until_gone(asked, deadline)
        return answer

    def _until_gone(self, asked: LockOwner, deadline: float) -> None:
        """Wait until a scheduler that was asked to stop has exited.

        Its record stays in the lock until the next scheduler can be reached, but its
        process does not. The process is ignored if it is not visible from here.
        """
        is_seen = is_process(asked.pid)
        while self.scheduler() == asked and not (is_seen and not is_process(asked.pid)):
            if time.monotonic() >= deadline:
                message = (
                    f"the scheduler, process {asked.pid}, was asked to stop but is"
                    f" still running after {self._timeout_s:g} s"
                )
                hint = (
                    f"wait, or kill -9 {asked.pid}: running tasks continue; see"
                    f" {self.log}"
                )
                raise SchedulerUnreachable(message, hint=hint)
            _wait_a_moment()

    def enqueue(self, run_ids: Sequence[str]) -> LockOwner:
        """Enqueue runs without an owner for the scheduler, and return its lock owner.

        Markers are written first: the runs are queued even if this raises
        SchedulerUnreachable.
        """
        for run_id in run_ids:
            self._folder.enqueue(run_id)
        return self.wake_scheduler()

    def send(self, request: Request) -> None:
        """Send a request to the owner of its run; it is durable on return.

        A run without an owner is first enqueued for the scheduler. Raises
        RequestRejected, NotFound, SchedulerUnreachable.
        """
        run = self._folder.run(request.run)
        start = journal_size(run)
        holder = lock_owner(run.lock) or self._new_owner(run, request)
        try:
            self._ask(holder, encode_request(request))
        except SchedulerUnreachable:
            if not self._has_let_go(run, holder, within_s=_LETS_GO_S):
                raise
            if was_applied(run, request, start):
                # The owner died before it could answer; the next owner continues the
                # run.
                if summarise(run).outcome is None:
                    self.enqueue([run.id])
                return
            # The owner was handing the run over, or had ended: find the next owner.
            following = lock_owner(run.lock) or self._new_owner(run, request)
            self._ask(following, encode_request(request))

    def detach(self, run_id: str, owner: LockOwner) -> None:
        """Make a foreground owner hand its run over; return when it has.

        Raises RequestRejected, StateDirError, and SchedulerUnreachable; then the run
        keeps its owner.
        """
        self.ensure_scheduler(asked=True)
        self._ask(owner, {"verb": "detach", "run": run_id})
        self._has_let_go(self._folder.run(run_id), owner, within_s=self._timeout_s)
        # The owner does this itself, unless it was killed during the handover.
        self.ask_scheduler("poke")

    def _new_owner(self, run: RunDir, request: Request) -> LockOwner:
        """Return the scheduler, which acquires the run and handles the request."""
        account = summarise(run)
        if account.outcome is None:
            self._folder.enqueue(run.id)
        elif not isinstance(request, REOPENING):
            message = f"run {run.id} has already finished ({account.outcome})"
            hint = "a finished run can only be retried or rolled back"
            raise RequestRejected(message, hint=hint)
        return self.ensure_scheduler()

    def _has_let_go(self, run: RunDir, owner: LockOwner, *, within_s: float) -> bool:
        """Whether an owner has released the run and will not write to it."""
        deadline = time.monotonic() + within_s
        while owner in (lock_owner(run.lock), self.scheduler()):
            if time.monotonic() >= deadline:
                return False
            _wait_a_moment()
        return True

    def _ask(self, owner: LockOwner, message: Mapping[str, Any]) -> None:
        self._put(Path(owner.socket), message)

    def _put(self, socket: Path, message: Mapping[str, Any]) -> Dict[str, Any]:
        began = time.perf_counter()
        try:
            return call(socket, message, timeout_s=self._timeout_s)
        finally:
            took_s = time.perf_counter() - began
            request = f"{message['verb']} {message.get('run', '')}".rstrip()
            self._tell(f"request to {socket}: {request} ({took_s:.3f}s)", 2)

    def _start(self) -> None:
        """Start the process and wait until it is ready. Raises SchedulerUnreachable."""
        ready, theirs = os.pipe()
        try:
            self._spawn(["serve", "--ready-fd", str(theirs)], theirs)
        except OSError as problem:
            os.close(ready)
            message = f"cannot start the scheduler: {problem}"
            raise SchedulerUnreachable(
                message, hint="fix the problem, then try again"
            ) from (problem)
        finally:
            os.close(theirs)
        try:
            readable, _, _ = select.select([ready], [], [], self._timeout_s)
            word = os.read(ready, 4096) if readable else b""
        finally:
            os.close(ready)
        if word not in (READY, ALREADY):
            why = "did not start" if readable else "did not answer in time"
            reason = word.decode(errors="replace")
            message = f"the scheduler {why}" + (f": {reason}" if reason else "")
            raise SchedulerUnreachable(message, hint=f"see {self.log}")

    def _spawn(self, verb: Sequence[str], *fds: int) -> subprocess.Popen[bytes]:
        """Start a verb of `scheduler` in the background; its output goes to the log."""
        log = open_log(self.log)
        try:
            return subprocess.Popen(
                [*self_command(), "scheduler", *verb],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=dict(self._environ),
                pass_fds=fds,
                start_new_session=True,
            )
        finally:
            os.close(log)


def journal_size(run: RunDir) -> int:
    """Return the size of the journal before a request; 0 if there is none."""
    try:
        return run.journal.stat().st_size
    except OSError:
        return 0


def was_applied(run: RunDir, request: Request, start: int) -> bool:
    """Whether the requested events are in the journal from `start` on.

    Call it when the owner that got the request has ended, so that it writes no more.
    """
    fact = FACTS[type(request)]
    with reader(run.journal) as file:
        file.seek(start)
        *lines, _torn = file.read().split(b"\n")
    for line in lines:
        try:
            event = decode(line, run.id).event
        except (ValueError, NewerFormat):
            return False  # damage is reported by the process that takes the run
        if isinstance(event, fact) and _is_about(event, request):
            return True
    return False


def _is_about(event: object, request: Request) -> bool:
    return getattr(event, "task", "") == getattr(request, "task", "")
