"""The ports of the scheduler: what it acts on, and who gets its reports."""

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
    """What happened to one run, durable by now; `events` in order."""

    run: RunState
    events: Sequence[ev.Event]


@light_dataclass
class SchedulerDeps:
    """The collaborators of the scheduler.

    `dice` rolls from 0 up to 1; `checkpoint_s` is the time between checkpoints.
    `begin` hears of a run that is taken, before anything of it is written; `complain`
    of one that cannot be had, or must be let go, "" of all that are queued. `warn`
    hears of what keeps attempts from starting, for a while.
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
