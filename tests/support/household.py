"""Owns an owner of runs for tests: a real scheduler and real files, a fake executor."""

from __future__ import annotations

import asyncio
import functools
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    List,
    Mapping,
    Optional,
    Tuple,
)

from provctl.journal.lock import Holder
from provctl.journal.log import JournalReader
from provctl.scheduler.clock import Clock
from provctl.scheduler.launch import Launcher, TaskDefaults
from provctl.scheduler.loop import Scheduler
from provctl.scheduler.world import Facts, World
from tests.support.attempts import PATIENCE_S
from tests.support.fake_executor import FakeExecutor

if TYPE_CHECKING:
    from provctl.core.events import Event
    from provctl.errors import ProvctlError
    from provctl.executors.base import Order
    from provctl.journal.folder import StateFolder

__all__ = ["HandClock", "Household", "in_a_loop"]


def in_a_loop(
    story: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Make a test of a coroutine, each in a loop of its own."""

    @functools.wraps(story)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(story(*args, **kwargs), PATIENCE_S))

    return run


class HandClock(Clock):
    """A clock that is set by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        super().__init__()
        self.time = now

    def now(self) -> float:
        """Return what it was set to."""
        return self.time


class Household:
    """A scheduler with all it needs. Make it inside a running loop."""

    def __init__(
        self,
        folder: StateFolder,
        *,
        clock: Optional[Clock] = None,
        boot: str = "boot-1",
        slots: int = 10,
        capacity: Optional[Mapping[str, int]] = None,
        at_launch: Optional[Callable[[Order], None]] = None,
        defaults: Optional[TaskDefaults] = None,
        environ: Optional[Mapping[str, str]] = None,
        holder: Optional[Holder] = None,
    ) -> None:
        self.folder = folder
        self.told: List[Facts] = []
        self.complaints: List[Tuple[str, ProvctlError]] = []
        self.executor = FakeExecutor(at_launch)
        world = World(
            folder=folder,
            executor=self.executor,
            launcher=Launcher(defaults or TaskDefaults(), environ or {}),
            clock=clock or HandClock(),
            dice=lambda: 0.0,
            holder=holder or Holder("scheduler", 4242, boot, "", 1000.0),
            tell=self.told.append,
            complain=lambda run, problem: self.complaints.append((run, problem)),
        )
        self.scheduler = Scheduler(world, slots=slots, capacity=capacity or {})

    def journal(self, run: str = "r") -> List[Event]:
        """What is on disk of a run."""
        return JournalReader(self.folder.run(run).journal, run).read()

    def kinds(self, run: str = "r") -> List[str]:
        """The kinds of facts on disk, after the submission."""
        return [type(event).__name__ for event in self.journal(run)[1:]]
