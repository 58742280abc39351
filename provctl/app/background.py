"""Owns the background scheduler as a process: lock, readiness, signals, its log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional

from provctl import __version__
from provctl.api.control import ControlServer
from provctl.api.listen import Listener, tcp_door, unix_door
from provctl.api.token import take_token
from provctl.api.verbs import answer
from provctl.app.firing import Firing
from provctl.app.hook_marks import HookMarks, HookStarter
from provctl.app.reach import Reach, stamped
from provctl.app.runtime import make_executor, make_holder, make_scheduler
from provctl.app.service import SchedulerService
from provctl.app.timetable import Office, Timetable
from provctl.app.unit import SERVICE
from provctl.core.schedule import LABEL
from provctl.errors import ProvctlError, StateUnusable
from provctl.journal.lock import Lock
from provctl.journal.schedules import Schedules
from provctl.scheduler.clock import WallClock
from provctl.text import plain

if TYPE_CHECKING:
    from provctl.api.listen import Door
    from provctl.app.readiness import Readiness
    from provctl.config.settings import Settings
    from provctl.journal.folder import StateFolder
    from provctl.scheduler.world import Facts

__all__ = ["hear_of_errors", "say", "serve"]


def serve(
    settings: Settings,
    folder: StateFolder,
    readiness: Readiness,
    *,
    log: Callable[[str], None],
    take_over: Optional[Callable[[], object]] = None,
) -> None:
    """Be the scheduler until told to stop; `log` is given lines with their time.

    Says by `readiness` when it can be reached, or why it could not start. Where
    another one runs, that is said too, or with `take_over` it is called to end it.
    """
    try:
        lock = _locked(folder, take_over)
    except StateUnusable as problem:
        readiness.failed(problem.message)
        raise
    if lock is None:
        readiness.already()
        return
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    hear_of_errors(log)
    # The kernel lets go of the lock, with the process: who waits for that finds none.
    asyncio.run(_Background(settings, folder, lock, log).run(readiness))


def _locked(
    folder: StateFolder, take_over: Optional[Callable[[], object]]
) -> Optional[Lock]:
    """Return the lock of schedulers; None where another one has it, and keeps it."""
    folder.prepare()
    lock = Lock.take(folder.scheduler / "lock")
    while lock is None and take_over is not None:
        take_over()
        lock = Lock.take(folder.scheduler / "lock")
    return lock


def say(line: str) -> None:
    """Write a line to stderr; a full disk must not end the scheduler."""
    with suppress(OSError):
        sys.stderr.write(line)
        sys.stderr.flush()


def hear_of_errors(log: Callable[[str], None]) -> None:
    """Have what asyncio and uvicorn say of errors put into the log, as lines of it."""
    logging.getLogger().handlers = [_ErrorLog(log)]


class _ErrorLog(logging.Handler):
    """Passes errors on. What is only a warning is mostly that a client went away."""

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        name = record.name.partition(".")[0]
        error = record.exc_info[1] if record.exc_info else None
        if name == "asyncio" and isinstance(error, ConnectionError):
            return
        about = "API" if name == "uvicorn" else name
        first, *others = self.format(record).splitlines() or [""]
        indented = "".join(f"    {plain(line)}\n" for line in others)
        self._log(stamped(f"{about}: {first}") + indented)


# Set in tests: how long it takes to end, in seconds, once it can no longer be reached.
_SLOW_END_S = float(os.environ.get("PROVCTL_FAILPOINT_SLOW_END_S") or 0)
# A run that was let go for want of disk space is taken again after so many seconds.
_AGAIN_S = 15.0


class _Background:
    def __init__(
        self,
        settings: Settings,
        folder: StateFolder,
        lock: Lock,
        log: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._lock = lock
        self._write = log
        self._again: Optional[asyncio.TimerHandle] = None
        self._api_problems: List[str] = []

    async def run(self, readiness: Readiness) -> None:
        self._stop = asyncio.Event()
        socket = self._folder.scheduler / "control.sock"
        holder = make_holder("scheduler", socket, self._settings)
        self._scheduler = make_scheduler(
            self._settings,
            self._folder,
            holder,
            executor=make_executor(),
            tell=self._hear,
            complain=self._complain,
            warn=self._log,
        )
        self._timetable = self._make_timetable()
        self._service = SchedulerService(
            self._settings, self._folder, self._scheduler, self._timetable
        )
        reach = Reach(self._folder, environ=os.environ, timeout_s=0.0, auto_start=False)
        marks = HookMarks(self._folder)
        self._hooks = HookStarter(reach.start_hooks, marks)
        self._listener = self._make_listener()
        server = ControlServer(socket, self._answer)
        try:
            await server.start()
        except StateUnusable as problem:
            readiness.failed(problem.message)
            raise
        self._lock.describe(holder)  # not before it can be reached
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            self._listener.open()
            self._scheduler.take_queued()
            self._timetable.look()
            owned = self._scheduler.state.runs
            pending = marks.pending()
            self._hooks.ended(run for run in pending if run not in owned)
            self._log(f"started, version {__version__}, process {holder.pid}")
            readiness.ready()
            await self._stop.wait()
        finally:
            readiness.stopping()
            await server.close()
            self._timetable.close()
            self._service.close()
            await self._listener.close()
            if _SLOW_END_S:
                await asyncio.sleep(_SLOW_END_S)
            self._scheduler.close()
            self._log("stopped")

    def _make_timetable(self) -> Timetable:
        runs = self._scheduler.state.runs

        def goes_on(schedule: str) -> bool:
            return any(
                run.submitted.labels.get(LABEL) == schedule for run in runs.values()
            )

        office = Office(
            schedules=Schedules(self._folder),
            firing=Firing(self._settings, self._folder),
            clock=WallClock(),
            goes_on=goes_on,
            take=self._scheduler.take_queued,
            log=self._log,
        )
        return Timetable(office)

    def _make_listener(self) -> Listener:
        """Bind what can be bound: workflows run also where the API cannot be had."""
        if self._settings.port_conflict is not None:
            self._note(self._settings.port_conflict)
        place = self._folder.scheduler
        doors: List[Door] = []
        token = None
        with self._noting_problems():
            doors.append(unix_door(place / "api.sock"))
            token = take_token(place / "token")
        for address in self._settings.addresses if token else ():
            with self._noting_problems():
                doors.append(tcp_door(*address))
        tcp = [door.hosts for door in doors if door.kind == "tcp"]
        hosts = {"tcp": frozenset(chain.from_iterable(tcp))}

        def load() -> Any:
            from provctl.api.http_app import make_app

            return make_app(self._service, token=token, hosts=hosts)

        return Listener(doors, load, self._log)

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            yield
        except ProvctlError as problem:
            self._note(f"API: {problem.message}; {problem.hint}")

    def _note(self, problem: str) -> None:
        """Log a problem of the API, and tell it to whoever asks."""
        self._api_problems.append(problem)
        self._log(problem)

    def _answer(self, message: Mapping[str, Any]) -> Dict[str, Any]:
        scheduler = self._scheduler
        verb = message.get("verb")
        if verb == "stop":
            self._stop.set()
            return {"running": scheduler.state.running, "pid": os.getpid()}
        if verb == "status":
            state = scheduler.state
            return {
                "runs": len(state.runs),
                "tasks_running": state.running,
                "api": self._listener.addresses,
                "api_problems": self._api_problems,
                "service": os.environ.get(SERVICE),
            }
        if verb == "take":
            # Refused with the reason; whoever waits for the run wants to know it.
            if message.get("run") in self._folder.queued():
                scheduler.take(message["run"])
            return {}
        if verb == "schedules":
            self._timetable.look()
            return {}
        # The wish first: it may be that nothing starts of a run just queued.
        told = {} if verb == "poke" else answer(scheduler, message)
        scheduler.take_queued()
        return told

    def _hear(self, facts: Facts) -> None:
        self._service.hear(facts)
        if facts.run.outcome is not None:
            submitted = facts.run.submitted
            self._log(f"run {submitted.run}: {facts.run.outcome}")
            if self._settings.hooks.on_run_finished:
                self._hooks.ended([submitted.run])
            if LABEL in submitted.labels:
                self._timetable.stir(submitted.labels[LABEL])

    def _complain(self, run_id: str, problem: ProvctlError) -> None:
        self._log(f"run {run_id}: {problem.message}" if run_id else problem.message)
        if isinstance(problem, StateUnusable) and self._again is None:
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(_AGAIN_S, self._take_again)

    def _take_again(self) -> None:
        self._again = None
        self._scheduler.take_queued()

    def _log(self, text: str) -> None:
        self._write(stamped(text))
