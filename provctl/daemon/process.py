"""The process of the background scheduler: lock, readiness, signals, log."""

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
from provctl.api.control.protocol import handle
from provctl.api.control.server import ControlServer
from provctl.api.http.listener import LazyHttpServer, tcp_socket, unix_socket
from provctl.api.http.token import load_or_create_token
from provctl.base.text import plain
from provctl.core.model.schedule import LABEL
from provctl.daemon.http_backend import SchedulerService
from provctl.daemon.service_units import SERVICE
from provctl.errors import ProvctlError, StateDirError
from provctl.runs.owner_client import OwnerClient, log_line
from provctl.runs.wiring import make_executor, make_holder, make_scheduler
from provctl.scheduler.clock import WallClock
from provctl.schedules.fire import ScheduleTrigger
from provctl.schedules.runner import ScheduleRunner, ScheduleRunnerDeps
from provctl.storage.lock import Lock
from provctl.storage.pending_hooks import HookLauncher, PendingHooks
from provctl.storage.schedules import Schedules

if TYPE_CHECKING:
    from provctl.api.control.readiness import Readiness
    from provctl.api.http.listener import BoundSocket
    from provctl.config.settings import Settings
    from provctl.scheduler.ports import RunUpdate
    from provctl.storage.layout import StateDir


def serve(
    settings: Settings,
    folder: StateDir,
    readiness: Readiness,
    *,
    log: Callable[[str], None],
    take_over: Optional[Callable[[], object]] = None,
) -> None:
    """Run the scheduler until it is stopped; `log` gets lines with a timestamp.

    Reports through `readiness` when it is ready, or why it could not start. If another
    scheduler is running, this reports that, or stops it with `take_over`.
    """
    try:
        lock = _acquire_scheduler_lock(folder, take_over)
    except StateDirError as problem:
        readiness.failed(problem.message)
        raise
    if lock is None:
        readiness.already()
        return
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log_library_errors(log)
    # The kernel releases the lock when the process ends, so a process that waits for
    # the lock finds no scheduler left.
    asyncio.run(_SchedulerProcess(settings, folder, lock, log).run(readiness))


def _acquire_scheduler_lock(
    folder: StateDir, take_over: Optional[Callable[[], object]]
) -> Optional[Lock]:
    """Return the scheduler lock; None if another scheduler has it and keeps it."""
    folder.prepare()
    lock = Lock.acquire(folder.scheduler / "lock")
    while lock is None and take_over is not None:
        take_over()
        lock = Lock.acquire(folder.scheduler / "lock")
    return lock


def write_line(line: str) -> None:
    """Write a line to stderr; a full disk must not end the scheduler."""
    with suppress(OSError):
        sys.stderr.write(line)
        sys.stderr.flush()


def log_library_errors(log: Callable[[str], None]) -> None:
    """Write errors of asyncio and uvicorn to the log."""
    logging.getLogger().handlers = [_ErrorLog(log)]


class _ErrorLog(logging.Handler):
    """Logs errors. Warnings are left out, because most report a disconnected client."""

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
        self._log(log_line(f"{about}: {first}") + indented)


# Set in tests: how many seconds the scheduler takes to end once it is unreachable.
_SLOW_END_S = float(os.environ.get("PROVCTL_FAILPOINT_SLOW_END_S") or 0)
# A run that was released because the disk was full is acquired again after this time.
_AGAIN_S = 15.0


class _SchedulerProcess:
    def __init__(
        self,
        settings: Settings,
        folder: StateDir,
        lock: Lock,
        log: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._lock = lock
        self._write = log
        self._again: Optional[asyncio.Task[None]] = None
        self._api_problems: List[str] = []

    async def run(self, readiness: Readiness) -> None:
        self._stop = asyncio.Event()
        socket = self._folder.scheduler / "control.sock"
        holder = make_holder("scheduler", socket, self._settings)
        self._scheduler = make_scheduler(
            self._settings,
            self._folder,
            holder,
            executor=make_executor(self._settings, self._folder),
            tell=self._hear,
            complain=self._complain,
            warn=self._log,
        )
        self._schedule_runner = self._make_timetable()
        self._service = SchedulerService(
            self._settings, self._folder, self._scheduler, self._schedule_runner
        )
        owner_client = OwnerClient(
            self._folder, environ=os.environ, timeout_s=0.0, auto_start=False
        )
        marks = PendingHooks(self._folder)
        self._hooks = HookLauncher(owner_client.start_hooks, marks)
        self._listener = self._make_listener()
        server = ControlServer(socket, self._answer)
        try:
            await server.start()
        except StateDirError as problem:
            readiness.failed(problem.message)
            raise
        self._lock.describe(holder)  # not before it can be reached
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            self._listener.open()
            await self._scheduler.acquire_queued()
            self._schedule_runner.reload()
            owned = self._scheduler.state.runs
            pending = marks.pending()
            self._hooks.on_run_finished(run for run in pending if run not in owned)
            self._log(f"started, version {__version__}, process {holder.pid}")
            readiness.ready()
            await self._stop.wait()
        finally:
            readiness.stopping()
            await server.close()
            self._schedule_runner.close()
            self._service.close()
            await self._listener.close()
            if _SLOW_END_S:
                await asyncio.sleep(_SLOW_END_S)
            self._scheduler.close()
            self._log("stopped")

    def _make_timetable(self) -> ScheduleRunner:
        runs = self._scheduler.state.runs

        def goes_on(schedule: str) -> bool:
            return any(
                run.submitted.labels.get(LABEL) == schedule for run in runs.values()
            )

        runner_deps = ScheduleRunnerDeps(
            schedules=Schedules(self._folder),
            firing=ScheduleTrigger(self._settings, self._folder),
            clock=WallClock(),
            goes_on=goes_on,
            take=self._scheduler.acquire_queued,
            log=self._log,
        )
        return ScheduleRunner(runner_deps)

    def _make_listener(self) -> LazyHttpServer:
        """Bind what can be bound: workflows run even if the API cannot listen."""
        if self._settings.port_conflict is not None:
            self._note(self._settings.port_conflict)
        place = self._folder.scheduler
        doors: List[BoundSocket] = []
        token = None
        with self._noting_problems():
            doors.append(unix_socket(place / "api.sock"))
            token = load_or_create_token(place / "token")
        for address in self._settings.addresses if token else ():
            with self._noting_problems():
                doors.append(tcp_socket(*address))
        tcp = [door.hosts for door in doors if door.kind == "tcp"]
        hosts = {"tcp": frozenset(chain.from_iterable(tcp))}

        def load() -> Any:
            from provctl.api.http.app import make_app

            return make_app(self._service, token=token, hosts=hosts)

        return LazyHttpServer(doors, load, self._log)

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            yield
        except ProvctlError as problem:
            self._note(f"API: {problem.message}; {problem.hint}")

    def _note(self, problem: str) -> None:
        """Log a problem of the API, and keep it for `scheduler status`."""
        self._api_problems.append(problem)
        self._log(problem)

    async def _answer(self, message: Mapping[str, Any]) -> Dict[str, Any]:
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
            # Refuse with the reason, for processes that wait for the run.
            if message.get("run") in self._folder.queued():
                await scheduler.acquire_run(message["run"])
            return {}
        if verb == "schedules":
            self._schedule_runner.reload()
            return {}
        # Requests first: a pause or cancel can prevent the start of a queued run.
        answer = {} if verb == "poke" else await handle(scheduler, message)
        await scheduler.acquire_queued()
        return answer

    def _hear(self, facts: RunUpdate) -> None:
        self._service.on_events(facts)
        if facts.run.outcome is not None:
            submitted = facts.run.submitted
            self._log(f"run {submitted.run}: {facts.run.outcome}")
            if self._settings.hooks.on_run_finished:
                self._hooks.on_run_finished([submitted.run])
            if LABEL in submitted.labels:
                self._schedule_runner.check(submitted.labels[LABEL])

    def _complain(self, run_id: str, problem: ProvctlError) -> None:
        self._log(f"run {run_id}: {problem.message}" if run_id else problem.message)
        if isinstance(problem, StateDirError) and self._again is None:
            self._again = asyncio.ensure_future(self._take_again())

    async def _take_again(self) -> None:
        await asyncio.sleep(_AGAIN_S)
        self._again = None
        await self._scheduler.acquire_queued()

    def _log(self, text: str) -> None:
        self._write(log_line(text))
