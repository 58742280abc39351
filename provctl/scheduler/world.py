"""Owns what stands around a scheduler: what it acts on, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Sequence

if TYPE_CHECKING:
    from provctl.core import events as ev
    from provctl.core.state import RunState
    from provctl.errors import ProvctlError
    from provctl.executors.base import Executor
    from provctl.journal.folder import StateFolder
    from provctl.journal.lock import Holder
    from provctl.scheduler.clock import Clock
    from provctl.scheduler.launch import Launcher

__all__ = ["Facts", "World"]


@dataclass(frozen=True)
class Facts:
    """What happened to one run, durable by now; `events` in order."""

    run: RunState
    events: Sequence[ev.Event]


@dataclass(frozen=True)
class World:
    """What the scheduler acts on and hears from.

    `dice` rolls from 0 up to 1; `checkpoint_s` is the time between checkpoints.
    `begin` hears of a run that is taken, before anything of it is written; `complain`
    of one that cannot be had, or must be let go, "" of all that are queued. `warn`
    hears of what keeps attempts from starting, for a while.
    """

    folder: StateFolder
    executor: Executor
    launcher: Launcher
    clock: Clock
    dice: Callable[[], float]
    holder: Holder
    tell: Callable[[Facts], None]
    complain: Callable[[str, ProvctlError], None]
    checkpoint_s: float = 30.0
    begin: Callable[[str], None] = lambda _run: None
    warn: Callable[[str], None] = lambda _words: None
