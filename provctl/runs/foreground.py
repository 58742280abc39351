"""Runs in the foreground: this process owns the run until it ends or hands it over."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence

from provctl.api.control.protocol import handle
from provctl.api.control.server import ControlServer
from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.requests import Cancel, Request
from provctl.errors import ProvctlError, RequestRejected, StateDirError
from provctl.runs.handover import Handover
from provctl.runs.wiring import make_holder, make_scheduler

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.config.settings import Settings
    from provctl.core.engine.state import RunState
    from provctl.executors.protocol import Executor
    from provctl.runs.owner_client import OwnerClient
    from provctl.scheduler.loop import Scheduler
    from provctl.scheduler.ports import RunUpdate
    from provctl.storage.layout import StateDir


_HELD = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
# Errors that mean that the terminal or the output pipe has gone. No other error, such
# as a full disk, is a reason to hand the run over.
_GONE = {errno.EPIPE: "output", errno.EIO: "hangup"}


@light_dataclass
class Observer:
    """Watches the run: gets events, and a tick every `tick_s` seconds.

    An OSError of either means that the terminal has gone. `say` gets messages about
    this process.
    """

    on_update: Callable[[RunUpdate], None]
    say: Callable[[str], None] = lambda _words: None
    on_tick: Optional[Callable[[RunState], None]] = None
    tick_s: float = 0.125


@light_dataclass
class ForegroundResult:
    """The result when this process stopped owning the run.

    `left` is why it continues in the background: "hangup" (terminal closed), "output"
    (output pipe closed), "terminated" (SIGTERM), "detached" (by command); else "".
    """

    run: RunState
    left: str


def block_signals() -> None:
    """Delay signals that end this process until `run_in_foreground` handles them.

    Call it before the run is on disk; otherwise the run could be left without an owner.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)


def run_in_foreground(
    settings: Settings,
    folder: StateDir,
    run_id: str,
    audience: Observer,
    *,
    executor: Executor,
    owner_client: OwnerClient,
    slots: Optional[int] = None,
    requests: Sequence[Request] = (),
) -> ForegroundResult:
    """Own a run until it is finished, on hold, or handed to the background scheduler.

    The first SIGINT cancels the run gracefully, the second one at once. SIGTERM,
    SIGHUP, a lost terminal or output pipe and the request "detach" hand it over. If
    SIGHUP is ignored (nohup), a lost terminal or pipe does not. Raises RequestRejected
    if the run has an owner, and the error of an unusable journal.
    """
    owner = _Foreground(folder, run_id, audience, owner_client)

    def make(socket: Path) -> Scheduler:
        return make_scheduler(
            settings,
            folder,
            make_holder("foreground", socket, settings, slots=slots),
            executor=executor,
            tell=owner.on_update,
            complain=owner.on_error,
            warn=owner.on_warning,
            slots=slots,
        )

    try:
        return asyncio.run(owner.run(make, requests))
    finally:
        if owner.has_ended and settings.hooks.on_run_finished:
            owner_client.start_hooks([run_id])


_NOBODY = Observer(on_update=lambda _facts: None)


class _Foreground:
    def __init__(
        self,
        folder: StateDir,
        run_id: str,
        audience: Observer,
        owner_client: OwnerClient,
    ) -> None:
        self._run_id = run_id
        self._socket = folder.run(run_id).socket
        self._audience = audience
        self._handover = Handover(folder, owner_client, run_id)
        self._stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._state: Optional[RunState] = None
        self._problem: Optional[ProvctlError] = None
        self._fault: Optional[Exception] = None  # a bug of the observer
        self._interrupts = 0
        self._interrupting: Optional[asyncio.Task[None]] = None
        self._over = False
        self._left = ""

    async def run(
        self, make: Callable[[Path], Scheduler], requests: Sequence[Request]
    ) -> ForegroundResult:
        self._wake = asyncio.Event()
        self._scheduler = make(self._socket)
        server = ControlServer(self._socket, self._answer)
        self._listen_to_signals()
        try:
            await self._scheduler.acquire_run(self._run_id, *requests[:1])
            for request in requests[1:]:
                await self._scheduler.request(request)
            await server.start()
            await self._until_over_or_left()
        finally:
            await server.close()
            self._scheduler.close()
        if self._problem is not None:
            raise self._problem
        if self._left:
            self._handover.complete()
        if self._fault is not None:
            raise self._fault
        assert self._state is not None
        return ForegroundResult(self._state, self._left)

    @property
    def has_ended(self) -> bool:
        """Whether the run has finished, as far as this process knows."""
        return self._state is not None and self._state.outcome is not None

    # -- progress of the run -------------------------------------------------------

    def on_update(self, facts: RunUpdate) -> None:
        run = self._state = facts.run
        self._show(partial(self._audience.on_update, facts))
        # A decision about a task on hold makes the run continue.
        self._over = run.outcome is not None or run.is_on_hold
        self._update_wake()

    def on_error(self, _run_id: str, problem: ProvctlError) -> None:
        self._problem = problem
        self._over = True
        self._update_wake()

    def on_warning(self, words: str) -> None:
        self._show(partial(self._audience.say, words))

    def _update_wake(self) -> None:
        if self._over or self._left:
            self._wake.set()
        else:
            self._wake.clear()

    async def _until_over_or_left(self) -> None:
        while True:
            await self._until_awake()
            problem = None if self._over else await self._handover.find_new_owner()
            if self._over:
                self._left = ""  # the run may have ended while a scheduler started
            if self._over or problem is None:
                return
            self._left = ""  # no scheduler: the run continues here
            words = (
                "the run continues in this process, because it cannot be handed over:"
                f" {problem.message}"
            )
            self._show(partial(self._audience.say, words))
            self._update_wake()

    async def _until_awake(self) -> None:
        while not self._wake.is_set():
            tick, state = self._audience.on_tick, self._state
            if tick is not None and state is not None:
                self._show(partial(tick, state))
            wait = None if tick is None else self._audience.tick_s
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except asyncio.TimeoutError:
                continue

    # -- reasons to leave ----------------------------------------------------------

    def _show(self, show: Callable[[], None]) -> None:
        """Show something; if that fails, the run continues."""
        try:
            show()
        except OSError as problem:
            self._audience = _NOBODY
            gone = _GONE.get(problem.errno or 0)
            if gone and not self._stays:
                self._leave_if_possible(gone)
        except Exception as fault:  # noqa: BLE001  # raised later, when the run is safe
            self._audience = _NOBODY
            self._fault = fault
            self._leave_if_possible("output")

    def _leave_if_possible(self, why: str) -> None:
        try:
            self._leave(why)
        except StateDirError:
            return  # no marker, no handover: the run continues here

    def _leave(self, why: str) -> None:
        """Start the handover; it is durable on return. Raises StateDirError."""
        if not self._left:
            self._handover.mark_for_handover()
            self._left = why
            self._update_wake()

    async def _answer(self, message: Mapping[str, Any]) -> Dict[str, Any]:
        if message.get("verb") != "detach":
            return await handle(self._scheduler, message)
        if self._state is not None and self._state.outcome is not None:
            problem = f"run {self._run_id} has already finished ({self._state.outcome})"
            raise RequestRejected(problem)
        self._leave("detached")
        return {"pid": os.getpid()}

    async def _request(self, request: Request) -> None:
        try:
            await self._scheduler.request(request)
        except ProvctlError as problem:
            self.on_error(self._run_id, problem)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            self._interrupts += 1
            request = Cancel(self._run_id, "interrupted", now=self._interrupts > 1)
            if not self._over:
                self._interrupting = asyncio.ensure_future(self._request(request))

        leave = self._leave_if_possible
        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGTERM, leave, "terminated")
        if not self._stays:
            loop.add_signal_handler(signal.SIGHUP, leave, "hangup")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
