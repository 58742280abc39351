"""An owner of runs for tests: a real scheduler and real files, a fake executor."""

from __future__ import annotations

import asyncio
import functools
import os
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

from provctl.scheduler.clock import Clock
from provctl.scheduler.loop import Scheduler
from provctl.scheduler.order_builder import LaunchSpecBuilder, TaskDefaults
from provctl.scheduler.ports import RunUpdate, SchedulerDeps
from provctl.scheduler.secrets import SecretSettings, SecretSource
from provctl.storage.journal.file import JournalReader
from provctl.storage.lock import LockOwner
from tests.support.attempts import PATIENCE_S
from tests.support.fake_executor import FakeExecutor

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.errors import ProvctlError
    from provctl.executors.protocol import LaunchSpec
    from provctl.storage.layout import StateDir

__all__ = ["HandClock", "Household", "in_a_loop"]


def in_a_loop(
    story: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Make a test of a coroutine, each in its own event loop."""

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
        """Return the time it was set to."""
        return self.time


class Household:
    """A scheduler with all its dependencies. Create it inside a running loop."""

    def __init__(
        self,
        folder: StateDir,
        *,
        clock: Optional[Clock] = None,
        boot: str = "boot-1",
        slots: int = 10,
        capacity: Optional[Mapping[str, int]] = None,
        at_launch: Optional[Callable[[LaunchSpec], None]] = None,
        defaults: Optional[TaskDefaults] = None,
        environ: Optional[Mapping[str, str]] = None,
        secrets: Optional[SecretSettings] = None,
        holder: Optional[LockOwner] = None,
    ) -> None:
        self.folder = folder
        self.told: List[RunUpdate] = []
        self.complaints: List[Tuple[str, ProvctlError]] = []
        self.executor = FakeExecutor(at_launch)
        deps = SchedulerDeps(
            folder=folder,
            executor=self.executor,
            launcher=LaunchSpecBuilder(defaults or TaskDefaults()),
            secrets=SecretSource(environ or {}, secrets or SecretSettings()),
            clock=clock or HandClock(),
            random=lambda: 0.0,
            holder=holder or LockOwner("scheduler", os.getpid(), boot, "", 1000.0),
            on_update=self.told.append,
            on_error=lambda run, problem: self.complaints.append((run, problem)),
        )
        self.scheduler = Scheduler(deps, slots=slots, capacity=capacity or {})

    def journal(self, run: str = "r") -> List[Event]:
        """The journal of a run on disk."""
        return JournalReader(self.folder.run(run).journal, run).read()

    def kinds(self, run: str = "r") -> List[str]:
        """The types of the events on disk after the submission."""
        return [type(event).__name__ for event in self.journal(run)[1:]]
