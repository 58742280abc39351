"""The agent of this machine, for an owner on another one: `provctl node agent`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping

from provctl import __version__
from provctl.base.self_command import program_path
from provctl.config.paths import programs_dir
from provctl.errors import MissingTool
from provctl.executors.local.executor import LocalExecutor
from provctl.executors.remote.agent import Agent
from provctl.executors.remote.agent_root import AgentRoot
from provctl.runs.task_environment import task_environment
from provctl.scheduler.clock import WallClock
from provctl.scheduler.node_orders import NodeOrderCompleter
from provctl.scheduler.order_builder import TaskDefaults
from provctl.storage.lock import boot_id

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.storage.layout import StateDir

_KEPT_S = 30 * 86_400.0  # evidence that the owner also has
_ASK_S = 2.0
_DISK_LEAST = 256 << 20  # bytes

FOLDER = "node"  # below the state directory: evidence of other machines' runs


def serve_owner(settings: Settings, folder: StateDir, cwd: str) -> None:
    """Serve an owner on the standard streams, until it closes them."""
    folder.prepare()
    # Only messages go to the owner; other output goes to stderr.
    written = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(_serve(settings, folder, cwd, written))


async def _serve(settings: Settings, folder: StateDir, cwd: str, written: int) -> None:
    environ = task_environment(os.environ, settings.executor.env_passthrough)
    environ.pop("SSH_AUTH_SOCK", None)  # its socket goes away with the connection
    completer = NodeOrderCompleter(
        _defaults(settings, folder), environ, cwd or str(Path.home())
    )
    root = AgentRoot(folder.path / FOLDER)
    loop = asyncio.get_running_loop()
    pruning = loop.run_in_executor(None, root.prune, WallClock().now() - _KEPT_S)
    agent = Agent(
        root,
        LocalExecutor(),
        completer.complete,
        _facts(settings, folder, environ),
    )
    await agent.run(0, written)
    await pruning


def _defaults(settings: Settings, folder: StateDir) -> TaskDefaults:
    nushell = settings.nushell
    library = nushell.provisioning_lib
    return TaskDefaults(
        nu=nushell.binary,
        own_programs=str(programs_dir()),
        library=str(library) if library else None,
        plugins=nushell.plugins,
        state_dir=str(folder.path),
        program=program_path(),
    )


def _facts(
    settings: Settings, folder: StateDir, environ: Mapping[str, str]
) -> Dict[str, Any]:
    """Return what this agent reports to the owner about the machine."""
    return {
        "version": __version__,
        "boot": boot_id(),
        "cpus": os.cpu_count() or 1,
        "memory": _memory(),
        "nu": _nu(settings, environ),
        "logout": _logout(environ),
        "full": _is_nearly_full(folder),
        "now": round(WallClock().now(), 3),
        "agent": os.getpid(),
    }


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _is_nearly_full(folder: StateDir) -> bool:
    from shutil import disk_usage

    return disk_usage(str(folder.path)).free < _DISK_LEAST


def _logout(environ: Mapping[str, str]) -> str:
    """Return "kills" if logout kills tasks when the connection ends, else ""."""
    user = environ.get("USER") or str(os.geteuid())
    if (
        os.geteuid() == 0
        or not Path("/run/systemd/system").is_dir()
        or Path("/var/lib/systemd/linger", user).exists()
    ):
        return ""
    from provctl.base.limited_process import output_of

    manager = "org.freedesktop.login1"
    command = ["busctl", "get-property", manager, "/org/freedesktop/login1"]
    command += [f"{manager}.Manager", "KillUserProcesses"]
    try:
        said = output_of(command, timeout_s=_ASK_S, hint="")
    except MissingTool:
        return ""
    return "kills" if said == "b true" else ""


def _nu(settings: Settings, environ: Mapping[str, str]) -> str:
    from provctl.nushell.binary import find_nu

    path = environ.get("PATH", os.defpath)
    try:
        return find_nu(settings.nushell.binary, path, str(programs_dir()))
    except MissingTool:
        return ""
