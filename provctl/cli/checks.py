"""Owns the checks of what runs need: configuration, programs, library, state, clock.

A check returns what it found in a few words, as a `Note` where something is to be said
that is no fault, and raises what is wrong.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, Sequence, Tuple, Union

from provctl.cli.context import tell_line
from provctl.cli.machine import (
    api_port,
    api_token,
    hooks,
    lingering,
    schedules,
    service,
    submissions,
)
from provctl.errors import ConfigInvalid, JournalDamaged, StateUnusable, ToolMissing
from provctl.program import pip_install

if TYPE_CHECKING:
    from provctl.cli.surroundings import Note, Surroundings

__all__ = ["CHECKS", "FIXES"]

_PROGRAM_TIMEOUT_S = 10
_RELEASED_AT = 1_735_689_600  # 2025-01-01: no right clock shows an earlier time
_CLOCK_TOLERANCE_S = 60


def _configuration(surroundings: Surroundings) -> str:
    if surroundings.broken:
        raise surroundings.broken
    return ", ".join(map(str, surroundings.files)) or "no file, defaults are used"


def _python(_surroundings: Surroundings) -> str:
    from provctl.cli.packages import packages

    missing = [p.name for p in packages() if p.always and p.version is None]
    if missing:
        message = f"packages missing: {', '.join(missing)}"
        raise ToolMissing(
            message, hint="install provctl again: ./install.sh, in its checkout"
        )
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version} ({sys.executable})"


def _nushell(surroundings: Surroundings) -> str:
    from shutil import which

    from provctl.config.paths import programs_dir
    from provctl.nushell.binary import find_nu, nu_version

    configured, own = surroundings.settings.nushell.binary, programs_dir()
    binary = find_nu(configured, surroundings.search_path, str(own))
    version = nu_version(binary)
    launcher = which(configured, path=surroundings.search_path)
    if (
        launcher is None
        or Path(binary).parent == own
        or Path(launcher).samefile(binary)
    ):
        return f"{version} ({binary})"
    return f"{version} ({binary}, which the script {launcher} starts)"


def _get_nushell(surroundings: Surroundings) -> None:
    """Get Nushell, unless the configuration wants a program at a certain path."""
    from provctl.config.paths import programs_dir
    from provctl.nushell.fetch import fetch_nu

    if os.sep not in surroundings.settings.nushell.binary:
        fetch_nu(
            programs_dir(),
            surroundings.environ,
            tell=tell_line,
        )


def _plugins(surroundings: Surroundings) -> str:
    from provctl.nushell.binary import check_plugins

    plugins = surroundings.settings.nushell.plugins
    check_plugins(plugins)
    return ", ".join(plugins) or "none"


def _nickel(surroundings: Surroundings) -> str:
    from importlib.metadata import PackageNotFoundError, version
    from shutil import which

    try:
        return f"{version('py-nickel')} (package py-nickel)"
    except PackageNotFoundError:
        name = surroundings.settings.nickel.binary
    program = which(name, path=surroundings.search_path)
    if program is None:
        message = f"neither the package py-nickel nor the program {name} is there"
        hint = (
            f"on Python 3.11 to 3.13: {pip_install('py-nickel')}; else install the nickel "
            "program and put it on PATH (or set nickel.binary)"
        )
        raise ToolMissing(message, hint=hint)
    return f"{_said_by([program, '--version'])} ({program})"


def _said_by(command: Sequence[str]) -> str:
    import subprocess

    try:
        said = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_PROGRAM_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        message = f"{command[0]} does not work: {problem}"
        raise ToolMissing(message, hint="install it again") from problem
    return said.stdout.decode(errors="replace").strip()


def _library(surroundings: Surroundings) -> str:
    folder = surroundings.settings.nushell.provisioning_lib
    if folder is None:
        return "nushell.provisioning_lib is not set (needed for `call` tasks only)"
    if not os.access(folder, os.R_OK | os.X_OK) or not Path(folder).is_dir():
        message = f"nushell.provisioning_lib: {folder} is not a readable folder"
        raise ConfigInvalid(message, hint="set it to the folder of the library")
    from provctl.nushell.compatibility import check_library

    version = check_library(Path(folder))
    return folder if version is None else f"{folder} (version {version})"


def _state(surroundings: Surroundings) -> str:
    from provctl.config.state_directory import check_state_dir, current_mounts

    return check_state_dir(
        surroundings.state_dir, uid=os.geteuid(), mounts=current_mounts()
    )


def _runs(surroundings: Surroundings) -> str:
    """Whether every run can be read, and those under way without an owner are whole."""
    from provctl.app.verify import verify
    from provctl.journal.folder import StateFolder
    from provctl.journal.summary import summaries

    folder = StateFolder(surroundings.state_dir)
    runs = summaries(folder)
    found = {run.id: run.damage for run in runs if run.damage}
    for run in runs:
        if run.outcome is None and not run.owned and not run.damage:
            verdict = verify(folder.run(run.id))
            if verdict.verdict == "damaged":
                found[run.id] = verdict.problem
    if not found:
        return f"{len(runs)}, none is damaged"
    first, *others = found
    names = ", ".join([first, *others][:10])
    message = f"{len(found)} of {len(runs)} are damaged: {names}; {found[first]}"
    raise JournalDamaged(message, hint="provctl journal verify")


def _clock(surroundings: Surroundings) -> str:
    from datetime import datetime, timezone

    shown = datetime.fromtimestamp(surroundings.now, timezone.utc)
    detail = f"{shown:%Y-%m-%d %H:%M:%S} UTC"
    hint = "set the clock; on most systems: timedatectl set-ntp true"
    if surroundings.now < _RELEASED_AT:
        message = f"{detail} cannot be right"
        raise StateUnusable(message, hint=hint)
    try:
        changed_at = (surroundings.state_dir / "runs").stat().st_mtime
    except OSError:
        return detail
    if changed_at > surroundings.now + _CLOCK_TOLERANCE_S:
        message = f"{detail} is before the last change of a run: the clock went back"
        raise StateUnusable(message, hint=hint)
    return detail


CHECKS: Tuple[Tuple[str, Callable[[Surroundings], Union[str, Note]]], ...] = (
    ("configuration", _configuration),
    ("python", _python),
    ("nushell", _nushell),
    ("plugins", _plugins),
    ("nickel", _nickel),
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
)

# What can be done about the fault that a check has found.
FIXES: Mapping[str, Callable[[Surroundings], None]] = {"nushell": _get_nushell}
