"""Owns a run in the foreground: this process is its owner until it ends."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional, Sequence

from provctl.api.control import ControlServer
from provctl.api.verbs import answer
from provctl.app.runtime import make_holder, make_scheduler
from provctl.core.requests import Cancel, Request
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.state import RunState
    from provctl.executors.base import Executor
    from provctl.journal.folder import StateFolder
    from provctl.scheduler.loop import Facts, Scheduler

__all__ = ["Audience", "run_in_foreground"]


@dataclass(frozen=True)
class Audience:
    """Who watches: `tell` hears of facts, `tick` is called every `tick_s` seconds."""

    tell: Callable[[Facts], None]
    tick: Optional[Callable[[RunState], None]] = None
    tick_s: float = 0.125


def run_in_foreground(
    settings: Settings,
    folder: StateFolder,
    run_id: str,
    audience: Audience,
    *,
    executor: Executor,
    slots: Optional[int] = None,
    requests: Sequence[Request] = (),
) -> RunState:
    """Own a run until it is finished or held, and return its state.

    The first SIGINT or SIGTERM cancels it with grace, the second at once.
    Raises Refused if it has an owner, and what makes its journal unusable.
    """
    owner = _Foreground(settings, folder, run_id, audience, slots)
    return asyncio.run(owner.run(executor, requests))


class _Foreground:
    def __init__(
        self,
        settings: Settings,
        folder: StateFolder,
        run_id: str,
        audience: Audience,
        slots: Optional[int],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._run_id = run_id
        self._audience = audience
        self._slots = slots
        self._problem: Optional[ProvctlError] = None
        self._state: Optional[RunState] = None
        self._interrupts = 0

    async def run(self, executor: Executor, requests: Sequence[Request]) -> RunState:
        self._over = asyncio.Event()
        socket = self._folder.run(self._run_id).socket
        scheduler = make_scheduler(
            self._settings,
            self._folder,
            make_holder("foreground", socket),
            executor=executor,
            tell=self._hear,
            complain=self._complain,
            slots=self._slots,
        )
        server = ControlServer(socket, lambda request: answer(scheduler, request))
        try:
            scheduler.take(self._run_id)
            for request in requests:
                scheduler.request(request)
            await server.start()
            self._listen_to_signals(scheduler)
            await self._until_over()
        finally:
            await server.close()
            scheduler.close()
        if self._problem is not None:
            raise self._problem
        assert self._state is not None
        return self._state

    def _hear(self, facts: Facts) -> None:
        self._state = facts.run
        self._audience.tell(facts)
        if facts.run.outcome is not None or facts.run.stalled:
            self._over.set()
        else:
            self._over.clear()  # a decision over a held task made it move again

    def _complain(self, _run_id: str, problem: ProvctlError) -> None:
        self._problem = problem
        self._over.set()

    async def _until_over(self) -> None:
        tick = self._audience.tick
        if tick is None:
            await self._over.wait()
            return
        while not self._over.is_set():
            if self._state is not None:
                tick(self._state)
            try:
                await asyncio.wait_for(self._over.wait(), self._audience.tick_s)
            except asyncio.TimeoutError:
                continue

    def _listen_to_signals(self, scheduler: Scheduler) -> None:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            self._interrupts += 1
            wish = Cancel(self._run_id, "interrupted", now=self._interrupts > 1)
            if self._over.is_set():
                return
            try:
                scheduler.request(wish)
            except ProvctlError as problem:
                self._complain(self._run_id, problem)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
