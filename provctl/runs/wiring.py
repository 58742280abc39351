"""Wiring: which executor, clock and limits an owner of runs uses."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, Optional

from provctl import __version__
from provctl.base.self_command import program_path
from provctl.config.paths import programs_dir
from provctl.core.model.workflow import ANYWHERE, Placement
from provctl.errors import StateDirError
from provctl.executors.local.executor import LocalExecutor
from provctl.executors.remote.own_machine import OwnMachineExecutor
from provctl.runs.nodes import node_configs
from provctl.scheduler.clock import Clock
from provctl.scheduler.loop import Scheduler
from provctl.scheduler.node_orders import NodeOrderBuilder
from provctl.scheduler.order_builder import LaunchSpecBuilder, TaskDefaults
from provctl.scheduler.ports import RunUpdate, SchedulerDeps
from provctl.scheduler.secrets import SecretSettings, SecretSource
from provctl.storage.lock import LockOwner, boot_id
from provctl.storage.pending_hooks import PendingHooks

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.config.settings import Settings
    from provctl.errors import ProvctlError
    from provctl.executors.protocol import Executor
    from provctl.storage.layout import StateDir


def make_holder(
    kind: str, socket: Path, settings: Settings, *, slots: Optional[int] = None
) -> LockOwner:
    """Return what this process writes into the locks that it holds."""
    return LockOwner(
        kind,
        os.getpid(),
        boot_id(),
        str(socket),
        round(Clock().now(), 3),
        __version__,
        slots or settings.executor.max_concurrent_tasks,
        settings.pools,
    )


def make_executor(settings: Settings, folder: StateDir) -> Executor:
    """Return the executor. It gets ready in the background, so create it early."""
    if not settings.nodes:
        return OwnMachineExecutor()
    from provctl.executors.remote.executor import RemoteExecutor
    from provctl.executors.remote.node_records import NodeRecords

    is_remote = settings.executor.kind != "local"
    return RemoteExecutor(
        node_configs(settings),
        LocalExecutor(),
        NodeRecords(folder.path / "nodes"),
        clock=Clock().now,
        lost_after_s=settings.remote.lost_after,
        usual=ANYWHERE if is_remote else Placement(node="local"),
    )


def secret_source(settings: Settings, environ: Mapping[str, str]) -> SecretSource:
    """Return where the owner of a run looks secrets up."""
    of_secrets = settings.secrets
    how = SecretSettings(of_secrets.timeout_seconds, of_secrets.age_identity or "")
    return SecretSource(environ, how)


def _slots(settings: Settings, wanted: Optional[int]) -> int:
    """Return how many tasks run at once; with nodes, at most the sum of their slots."""
    usual = wanted or settings.executor.max_concurrent_tasks
    if settings.executor.kind == "local" or not settings.nodes:
        return usual
    return min(usual, sum(node.slots for node in node_configs(settings)))


def _launcher(settings: Settings, folder: StateDir) -> LaunchSpecBuilder:
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
    if limits.kind == "local":
        return LaunchSpecBuilder(defaults)
    return NodeOrderBuilder(defaults)


def make_scheduler(
    settings: Settings,
    folder: StateDir,
    holder: LockOwner,
    *,
    executor: Executor,
    tell: Callable[[RunUpdate], None],
    complain: Callable[[str, ProvctlError], None],
    warn: Callable[[str], None] = lambda _words: None,
    slots: Optional[int] = None,
) -> Scheduler:
    """Return an owner of runs, inside the running event loop."""
    limits = settings.executor
    marks = PendingHooks(folder)
    on_acquire: Optional[Callable[[str], None]] = getattr(executor, "on_acquire", None)
    if hasattr(executor, "warn"):
        executor.warn = warn

    def begin(run_id: str) -> None:
        if on_acquire is not None:
            on_acquire(run_id)
        if settings.hooks.on_run_finished:
            # The run does not depend on its hooks. If the disk is full, acquiring the
            # run fails anyway.
            with suppress(StateDirError):
                marks.add(run_id)

    deps = SchedulerDeps(
        folder=folder,
        executor=executor,
        launcher=_launcher(settings, folder),
        secrets=secret_source(settings, os.environ),
        clock=Clock(),
        random=random.random,
        holder=holder,
        on_update=tell,
        on_error=complain,
        checkpoint_s=limits.checkpoint_interval_seconds,
        on_acquire=begin,
        warn=warn,
    )
    usual = limits.max_concurrent_tasks
    return Scheduler(
        deps,
        slots=_slots(settings, slots),
        capacity=settings.pools,
        # A run with more slots than usual can use all slots that others leave free.
        common=max(slots or 0, usual),
    )
