"""The ports of the scheduler: its dependencies, and the receivers of its updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Sequence

from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from provctl.core.engine import events as ev
    from provctl.core.engine.state import RunState
    from provctl.errors import ProvctlError
    from provctl.executors.protocol import Executor
    from provctl.scheduler.clock import Clock
    from provctl.scheduler.order_builder import LaunchSpecBuilder
    from provctl.scheduler.secrets import SecretSource
    from provctl.storage.layout import StateDir
    from provctl.storage.lock import LockOwner


@light_dataclass
class RunUpdate:
    """The durable changes of one run; `events` in order."""

    run: RunState
    events: Sequence[ev.Event]


@light_dataclass
class SchedulerDeps:
    """The dependencies of the scheduler.

    `random` returns a number from 0 up to 1 (exclusive); `checkpoint_s` is the time
    between checkpoints. `on_acquire` is called with a run that is acquired, before
    anything is written to its journal. `on_error` is called with a run that cannot be
    acquired or must be released, or with "" for all queued runs. `warn` is called with
    the reason why no attempts start for a while.
    """

    folder: StateDir
    executor: Executor
    launcher: LaunchSpecBuilder
    secrets: SecretSource
    clock: Clock
    random: Callable[[], float]
    holder: LockOwner
    on_update: Callable[[RunUpdate], None]
    on_error: Callable[[str, ProvctlError], None]
    checkpoint_s: float = 30.0
    on_acquire: Callable[[str], None] = lambda _run: None
    warn: Callable[[str], None] = lambda _words: None
