"""The checks of what runs need: configuration, programs, library, state, clock.

A check returns a short description of what it found, as a `CheckNote` if there is
something to say that is not a problem, and raises an error for a problem.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Callable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

from provctl.base.limited_process import output_of
from provctl.base.self_command import pip_install
from provctl.cli.doctor.service_checks import (
    api_port,
    api_token,
    hooks,
    lingering,
    schedules,
    service,
    submissions,
)
from provctl.cli.session import print_message
from provctl.errors import InvalidConfig, JournalDamaged, MissingTool, StateDirError

if TYPE_CHECKING:
    from provctl.cli.doctor.check_context import CheckContext, CheckNote

_PROGRAM_TIMEOUT_S = 10
_RELEASED_AT = 1_735_689_600  # 2025-01-01: no correct clock shows an earlier time
_CLOCK_TOLERANCE_S = 60


def _configuration(context: CheckContext) -> str:
    if context.broken:
        raise context.broken
    return ", ".join(map(str, context.files)) or "no configuration file; using defaults"


def _python(_context: CheckContext) -> str:

    missing = [p.name for p in packages() if p.always and p.version is None]
    if missing:
        message = f"packages missing: {', '.join(missing)}"
        raise MissingTool(
            message, hint="reinstall provctl: ./install.sh in its checkout"
        )
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version} ({sys.executable})"


def _nushell(context: CheckContext) -> str:
    from shutil import which

    from provctl.config.paths import programs_dir
    from provctl.nushell.binary import find_nu, nu_version

    configured, own = context.settings.nushell.binary, programs_dir()
    binary = find_nu(configured, context.search_path, str(own))
    version = nu_version(binary)
    launcher = which(configured, path=context.search_path)
    if (
        launcher is None
        or Path(binary).parent == own
        or Path(launcher).samefile(binary)
    ):
        return f"{version} ({binary})"
    return f"{version} ({binary}, which the script {launcher} starts)"


def _get_nushell(context: CheckContext) -> None:
    """Install Nushell, unless the configuration names a program by its path."""
    from provctl.config.paths import programs_dir
    from provctl.nushell.install import fetch_nu

    if os.sep not in context.settings.nushell.binary:
        fetch_nu(
            programs_dir(),
            context.environ,
            tell=print_message,
        )


def _plugins(context: CheckContext) -> str:
    from provctl.nushell.binary import check_plugins

    plugins = context.settings.nushell.plugins
    check_plugins(plugins)
    return ", ".join(plugins) or "none"


def _nickel(context: CheckContext) -> str:
    from importlib.metadata import PackageNotFoundError, version
    from shutil import which

    try:
        return f"{version('py-nickel')} (package py-nickel)"
    except PackageNotFoundError:
        name = context.settings.nickel.binary
    program = which(name, path=context.search_path)
    if program is None:
        message = f"neither the package py-nickel nor the program {name} was found"
        hint = (
            f"on Python 3.11 to 3.13: {pip_install('py-nickel')}; otherwise install"
            " the nickel program and put it on PATH (or set nickel.binary)"
        )
        raise MissingTool(message, hint=hint)
    command, hint = [program, "--version"], "reinstall it"
    said = output_of(command, timeout_s=_PROGRAM_TIMEOUT_S, hint=hint)
    return f"{said} ({program})"


def _secrets(context: CheckContext) -> str:
    """Which of the programs are here that know secrets: a task that needs one fails."""
    from shutil import which

    found = []
    for name in ("sops", "age"):
        program = which(name, path=context.search_path)
        found.append(f"{name} ({program})" if program else f"no {name}")
    keyring = _version("keyring")
    found.append(f"keyring {keyring}" if keyring else "no package keyring")
    return ", ".join(found)


def _library(context: CheckContext) -> str:
    folder = context.settings.nushell.provisioning_lib
    if folder is None:
        return "nushell.provisioning_lib is not set (needed for `call` tasks only)"
    if not os.access(folder, os.R_OK | os.X_OK) or not Path(folder).is_dir():
        message = f"nushell.provisioning_lib: {folder} is not a readable folder"
        raise InvalidConfig(message, hint="set it to the library folder")
    from provctl.nushell.library.compatibility import check_library

    version = check_library(Path(folder))
    return folder if version is None else f"{folder} (version {version})"


def _state(context: CheckContext) -> str:
    from provctl.storage.state_dir_checks import check_state_dir, current_mounts

    return check_state_dir(context.state_dir, uid=os.geteuid(), mounts=current_mounts())


def _runs(context: CheckContext) -> str:
    """Whether every run can be read, and orphaned unfinished ones are valid."""
    from provctl.runs.verify import verify
    from provctl.storage.layout import StateDir
    from provctl.storage.run_summary import summaries

    folder = StateDir(context.state_dir)
    runs = summaries(folder)
    found = {run.id: run.damage for run in runs if run.damage}
    for run in runs:
        if run.outcome is None and not run.owned and not run.damage:
            verdict = verify(folder.run(run.id))
            if verdict.verdict == "damaged":
                found[run.id] = verdict.problem
    if not found:
        return f"{len(runs)}, none damaged"
    first, *others = found
    names = ", ".join([first, *others][:10])
    message = f"{len(found)} of {len(runs)} are damaged: {names}; {found[first]}"
    raise JournalDamaged(message, hint="provctl journal verify")


def _clock(context: CheckContext) -> str:
    from datetime import datetime, timezone

    shown = datetime.fromtimestamp(context.now, timezone.utc)
    detail = f"{shown:%Y-%m-%d %H:%M:%S} UTC"
    hint = "set the clock; on most systems: timedatectl set-ntp true"
    if context.now < _RELEASED_AT:
        message = f"{detail} is not plausible"
        raise StateDirError(message, hint=hint)
    try:
        changed_at = (context.state_dir / "runs").stat().st_mtime
    except OSError:
        return detail
    if changed_at > context.now + _CLOCK_TOLERANCE_S:
        message = (
            f"{detail} is earlier than the last change of a run: the clock was set back"
        )
        raise StateDirError(message, hint=hint)
    return detail


def _nodes(context: CheckContext) -> Union[str, CheckNote]:
    """Whether each node answers, and has what tasks need there."""
    from provctl.cli.doctor.check_context import CheckNote
    from provctl.runs.nodes import clock_problem, node_configs, probe_node

    nodes = node_configs(context.settings)
    if context.settings.executor.kind == "local" or not nodes:
        return "tasks run on this machine"
    notes = []
    for node in nodes:
        probe = probe_node(node)
        if probe.problem:
            message = f"{node.name}: {probe.problem}"
            hint = (
                f"ssh {node.ssh} {node.program} --version must work without a password"
            )
            raise StateDirError(message, hint=hint)
        clock = clock_problem(probe.hello, context.now)
        if clock:
            message = f"{node.name}: {clock}"
            raise StateDirError(message, hint="set the clocks")
        if not probe.hello.get("nu"):
            notes.append(f"{node.name} has no Nushell")
        if probe.hello.get("logout") == "kills":
            notes.append(f"{node.name} kills tasks at the end of the connection")
        if probe.hello.get("full"):
            notes.append(f"the disk of {node.name} is nearly full")
    names = ", ".join(node.name for node in nodes)
    if notes:
        advice = "on the nodes: provctl doctor --fix; loginctl enable-linger"
        return CheckNote(f"{names}; {'; '.join(notes)}", advice)
    return names


CHECKS: Tuple[Tuple[str, Callable[[CheckContext], Union[str, CheckNote]]], ...] = (
    ("configuration", _configuration),
    ("python", _python),
    ("nushell", _nushell),
    ("plugins", _plugins),
    ("nickel", _nickel),
    ("secrets", _secrets),
    ("library", _library),
    ("state directory", _state),
    ("runs", _runs),
    ("clock", _clock),
    ("api", api_port),
    ("token", api_token),
    ("service", service),
    ("logout", lingering),
    ("schedules", schedules),
    ("submissions", submissions),
    ("hooks", hooks),
    ("nodes", _nodes),
)

# What to do about the problem that a check has found.
FIXES: Mapping[str, Callable[[CheckContext], None]] = {"nushell": _get_nushell}


class Package(NamedTuple):
    """A package; `version` is None if it is not installed.

    `always`: it is needed for every version of Python and all extras.
    """

    name: str
    version: Optional[str]
    always: bool


def packages() -> List[Package]:
    """Return all packages that provctl uses, except those for its development."""
    try:
        requirements = requires("provctl") or []
    except PackageNotFoundError:  # in the single file, which has no other packages
        return [
            Package(each.metadata["Name"], each.version, always=False)
            for each in distributions()
        ]
    found = []
    for line in requirements:
        requirement, _, condition = line.partition(";")
        if not _DEVELOPERS.search(condition):
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            found.append(Package(name, _version(name), always=not condition))
    return found


_DEVELOPERS = re.compile(r"extra == .(test|real|dev|docs)\b")


def _version(name: str) -> Optional[str]:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
