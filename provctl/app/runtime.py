"""Owns the composition: which executor, clock and limits an owner of runs works with."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from provctl import __version__
from provctl.app.hook_marks import HookMarks
from provctl.config.paths import programs_dir
from provctl.errors import StateUnusable
from provctl.executors.local import LocalExecutor
from provctl.journal.lock import Holder, boot_id
from provctl.program import program_path
from provctl.scheduler.clock import Clock
from provctl.scheduler.launch import Launcher, TaskDefaults
from provctl.scheduler.loop import Scheduler
from provctl.scheduler.world import Facts, World

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.config.settings import Settings
    from provctl.errors import ProvctlError
    from provctl.executors.base import Executor
    from provctl.journal.folder import StateFolder

__all__ = ["make_executor", "make_holder", "make_scheduler"]


def make_holder(
    kind: str, socket: Path, settings: Settings, *, slots: Optional[int] = None
) -> Holder:
    """Return what this process writes into the locks it holds."""
    return Holder(
        kind,
        os.getpid(),
        boot_id(),
        str(socket),
        round(Clock().now(), 3),
        __version__,
        slots or settings.executor.max_concurrent_tasks,
        settings.pools,
    )


def make_executor() -> Executor:
    """Return what runs attempts. It gets ready by itself, so make it early."""
    return LocalExecutor()


def make_scheduler(
    settings: Settings,
    folder: StateFolder,
    holder: Holder,
    *,
    executor: Executor,
    tell: Callable[[Facts], None],
    complain: Callable[[str, ProvctlError], None],
    warn: Callable[[str], None] = lambda _words: None,
    slots: Optional[int] = None,
) -> Scheduler:
    """Return an owner of runs, inside the running event loop."""
    limits = settings.executor
    nushell = settings.nushell
    library = nushell.provisioning_lib
    defaults = TaskDefaults(
        timeout_s=limits.task_timeout_seconds,
        grace_s=limits.grace_seconds,
        nu=nushell.binary,
        own_programs=str(programs_dir()),
        library=str(library) if library else None,
        log_max=limits.log_max_mb << 20,
        env_vars=nushell.env_vars,
        plugins=nushell.plugins,
        state_dir=str(folder.path),
        program=program_path(),
        endpoint=settings.endpoint if settings.addresses else "",
    )
    marks = HookMarks(folder)

    def begin(run_id: str) -> None:
        if settings.hooks.on_run_finished:
            # No run waits for its hooks. On a disk that is full it is not taken either.
            with suppress(StateUnusable):
                marks.put(run_id)

    world = World(
        folder=folder,
        executor=executor,
        launcher=Launcher(defaults, os.environ),
        clock=Clock(),
        dice=random.random,
        holder=holder,
        tell=tell,
        complain=complain,
        checkpoint_s=limits.checkpoint_interval_seconds,
        begin=begin,
        warn=warn,
    )
    usual = limits.max_concurrent_tasks
    return Scheduler(
        world,
        slots=slots or usual,
        capacity=settings.pools,
        # Who asks for more than usual for one run has the rest of the others too.
        common=max(slots or 0, usual),
    )
