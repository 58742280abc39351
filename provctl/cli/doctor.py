"""Owns `provctl doctor`: whether everything that runs need is there, and what to do."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, Optional, Sequence, Tuple

import click

from provctl.cli.context import Session, emit, plain
from provctl.errors import ConfigInvalid, ProvctlError, StateUnusable, ToolMissing

if TYPE_CHECKING:
    from provctl.config.settings import Settings

__all__ = ["doctor"]

_PACKAGES = ("click", "rich", "pydantic", "psutil", "platformdirs")
_PROGRAM_TIMEOUT_S = 10
_RELEASED_AT = 1_735_689_600  # 2025-01-01: no right clock shows an earlier time
_CLOCK_TOLERANCE_S = 60


@dataclass(frozen=True)
class _Finding:
    """What one check found; `problem` is None if all is well."""

    check: str
    detail: str
    problem: Optional[ProvctlError]


@dataclass(frozen=True)
class _Surroundings:
    """What the checks look at; `broken` is why the settings are only defaults."""

    settings: Settings
    state_dir: Path
    environ: Mapping[str, str]
    now: float
    files: Tuple[Path, ...]
    broken: Optional[ConfigInvalid]

    @property
    def search_path(self) -> str:
        return self.environ.get("PATH", os.defpath)


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Check that everything needed is there; say what to do where it is not.

    Exits with 0 if so, else with the code of the first thing that is wrong: 2 the
    configuration, 52 a missing tool, 32 the state directory.
    """
    session: Session = context.obj
    surroundings = _look_around(session)
    findings = [_examine(name, check, surroundings) for name, check in _CHECKS]
    if session.output == "table":
        for finding in findings:
            _show(finding)
    else:
        emit(session, [_record(finding) for finding in findings], (), name="check")
    problems = [finding.problem for finding in findings if finding.problem]
    context.exit(problems[0].exit_code if problems else 0)


def _look_around(session: Session) -> _Surroundings:
    import time

    from provctl.config.paths import config_files, state_dir
    from provctl.config.settings import Settings

    broken = None
    try:
        settings = session.loaded.settings
    except ConfigInvalid as problem:
        settings, broken = Settings(), problem
    files = config_files(environ=session.environ, config_file=session.config_file)
    return _Surroundings(
        settings=settings,
        state_dir=state_dir(settings),
        environ=session.environ,
        now=time.time(),  # noqa: TID251  the clock itself is what is examined
        files=tuple(file.path for file in files if os.access(file.path, os.F_OK)),
        broken=broken,
    )


def _examine(
    name: str, check: Callable[[_Surroundings], str], surroundings: _Surroundings
) -> _Finding:
    try:
        return _Finding(name, check(surroundings), None)
    except ProvctlError as problem:
        return _Finding(name, problem.message, problem)


def _configuration(surroundings: _Surroundings) -> str:
    if surroundings.broken:
        raise surroundings.broken
    return ", ".join(map(str, surroundings.files)) or "no file, defaults are used"


def _python(_surroundings: _Surroundings) -> str:
    from importlib.util import find_spec

    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        message = f"packages missing: {', '.join(missing)}"
        raise ToolMissing(message, hint="install provctl again with pip")
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version} ({sys.executable})"


def _nushell(surroundings: _Surroundings) -> str:
    from shutil import which

    from provctl.nushell.binary import find_nu, nu_version

    configured = surroundings.settings.nushell.binary
    binary = find_nu(configured, surroundings.search_path)
    version = nu_version(binary)
    launcher = which(configured, path=surroundings.search_path)
    if launcher is None or Path(launcher).samefile(binary):
        return f"{version} ({binary})"
    return f"{version} ({binary}, which the script {launcher} starts)"


def _nickel(surroundings: _Surroundings) -> str:
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
            "on Python 3.11 to 3.13: pip install py-nickel; else install the nickel "
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


def _library(surroundings: _Surroundings) -> str:
    folder = surroundings.settings.nushell.provisioning_lib
    if folder is None:
        return "nushell.provisioning_lib is not set (needed for `call` tasks only)"
    if not os.access(folder, os.R_OK | os.X_OK) or not Path(folder).is_dir():
        message = f"nushell.provisioning_lib: {folder} is not a readable folder"
        raise ConfigInvalid(message, hint="set it to the folder of the library")
    return folder


def _state(surroundings: _Surroundings) -> str:
    from provctl.config.state_directory import check_state_dir, current_mounts

    return check_state_dir(
        surroundings.state_dir, uid=os.geteuid(), mounts=current_mounts()
    )


def _clock(surroundings: _Surroundings) -> str:
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


_CHECKS: Tuple[Tuple[str, Callable[[_Surroundings], str]], ...] = (
    ("configuration", _configuration),
    ("python", _python),
    ("nushell", _nushell),
    ("nickel", _nickel),
    ("library", _library),
    ("state directory", _state),
    ("clock", _clock),
)


def _record(finding: _Finding) -> Mapping[str, object]:
    return {
        "check": finding.check,
        "ok": finding.problem is None,
        "detail": finding.detail,
        "advice": finding.problem.hint if finding.problem else None,
    }


def _show(finding: _Finding) -> None:
    mark = _printable("✓", "ok") if finding.problem is None else _printable("✗", "!!")
    click.echo(f"{mark:2} {finding.check:15}  {plain(finding.detail)}")
    if finding.problem and finding.problem.hint:
        click.echo(f"{'':20}{plain(finding.problem.hint)}")


def _printable(mark: str, otherwise: str) -> str:
    try:
        mark.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return otherwise
    return mark
