"""Owns reaching an owner: start the scheduler if none runs, find who has a run."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from provctl.api.client import ask
from provctl.api.verbs import as_message
from provctl.errors import Refused, SchedulerUnreachable
from provctl.journal.lock import Holder, Lock, holder_of
from provctl.journal.summary import summarise

if TYPE_CHECKING:
    from provctl.core.requests import Request
    from provctl.journal.folder import StateFolder

__all__ = ["ALREADY", "READY", "Reach"]

# What a starting scheduler says on its readiness pipe.
READY = b"ready\n"
ALREADY = b"already\n"
_SERVE = (sys.executable, "-I", "-m", "provctl", "scheduler", "serve")


class Reach:
    """The way to whoever owns runs in one state directory.

    `environ` is what a scheduler is started with, `timeout_s` how many seconds to
    wait for an answer; without `auto_start` none is started.
    """

    def __init__(
        self,
        folder: StateFolder,
        *,
        environ: Mapping[str, str],
        timeout_s: float,
        auto_start: bool,
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._timeout_s = timeout_s
        self._auto_start = auto_start

    def scheduler(self) -> Optional[Holder]:
        """Return who the running scheduler is, None if there is none."""
        return holder_of(self._folder.scheduler / "lock")

    def ensure_scheduler(self, *, asked: bool = False) -> Holder:
        """Return the running scheduler, started if need be.

        Of any number of callers at once one starts it, the others wait for that.
        `asked`: somebody said so, whatever `auto_start`. Raises
        SchedulerUnreachable, StateUnusable.
        """
        holder = self.scheduler()
        if holder is not None:
            return holder
        if not (self._auto_start or asked):
            message = "no scheduler is running, and orchestrator.auto_start is off"
            raise SchedulerUnreachable(message, hint="provctl scheduler start")
        self._folder.prepare()
        turn = Lock.wait(self._folder.scheduler / "start.lock")
        try:
            holder = self.scheduler()
            if holder is None:
                self._start()
                holder = self.scheduler()
        finally:
            turn.release()
        if holder is None:
            message = "the scheduler stopped as soon as it had started"
            raise SchedulerUnreachable(message, hint=f"see {self.log}")
        return holder

    @property
    def log(self) -> Path:
        """The scheduler's own log."""
        return self._folder.scheduler / "log"

    def ask_scheduler(self, verb: str) -> Dict[str, Any]:
        """Ask the running scheduler. Raises SchedulerUnreachable."""
        socket = self._folder.scheduler / "control.sock"
        return ask(socket, {"verb": verb}, timeout_s=self._timeout_s)

    def stop_scheduler(self) -> Optional[Dict[str, Any]]:
        """Stop the scheduler and wait until it is gone; None if none was running."""
        if self.scheduler() is None:
            return None
        answer = self.ask_scheduler("stop")
        Lock.wait(self._folder.scheduler / "lock").release()
        return answer

    def send(self, request: Request) -> None:
        """Bring a request to the owner of its run; durable on return.

        A run without an owner is given to the scheduler first. Raises Refused,
        NotFound, SchedulerUnreachable.
        """
        run = self._folder.run(request.run)
        holder = holder_of(run.lock)
        if holder is None:
            account = summarise(run)
            if account.outcome is not None:
                message = f"run {run.id} has ended: {account.outcome}"
                raise Refused(message, hint="a finished run can no longer be changed")
            self._folder.enqueue(run.id)
            holder = self.ensure_scheduler()
        ask(Path(holder.socket), as_message(request), timeout_s=self._timeout_s)

    def _start(self) -> None:
        """Start the process and wait for its word. Raises SchedulerUnreachable."""
        ready, theirs = os.pipe()
        try:
            self._spawn(theirs)
        except OSError as problem:
            os.close(ready)
            message = f"the scheduler cannot be started: {problem}"
            raise SchedulerUnreachable(message, hint="mend that, then try again") from (
                problem
            )
        finally:
            os.close(theirs)
        try:
            readable, _, _ = select.select([ready], [], [], self._timeout_s)
            word = os.read(ready, 64) if readable else b""
        finally:
            os.close(ready)
        if word not in (READY, ALREADY):
            why = "did not start" if readable else "did not answer in time"
            message = f"the scheduler {why}"
            raise SchedulerUnreachable(message, hint=f"see {self.log}")

    def _spawn(self, theirs: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(str(self.log), flags, 0o600)
        try:
            subprocess.Popen(
                [*_SERVE, "--ready-fd", str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=dict(self._environ),
                pass_fds=[theirs],
                start_new_session=True,
            )
        finally:
            os.close(log)
