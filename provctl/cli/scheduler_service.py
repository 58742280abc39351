"""`scheduler install` and `uninstall`: the scheduler as a service of the machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence

import click

from provctl.base.self_command import installed
from provctl.cli.session import print_message
from provctl.errors import RequestRejected, StateDirError, UsageError

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.daemon.service_units import ServiceFile


_PASSED_ON = ("PATH", "LANG")
_TIMEOUT_S = 60


def _scoped(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the option for the scope of the service."""
    verb = click.option(
        "--system",
        "scope",
        flag_value="system",
        help="Service of the machine; needs root.",
    )(verb)
    return click.option(
        "--user",
        "scope",
        flag_value="user",
        default=True,
        help="Service of your account (the default).",
    )(verb)


@click.command()
@_scoped
@click.option("--now", is_flag=True, help="Also enable and start the service.")
@click.option(
    "--print", "only_print", is_flag=True, help="Print the service file; write nothing."
)
@click.option(
    "--force", is_flag=True, help="Overwrite a file that provctl did not write."
)
@click.pass_obj
def install(
    session: Session, scope: str, now: bool, only_print: bool, force: bool
) -> None:
    """Install the scheduler as a service of systemd or launchd.

    The service uses the state directory, configuration and PATH of this command.
    Running tasks survive when the service stops or restarts.
    """
    unit = _unit(session, scope)
    if only_print:
        click.echo(unit.text, nl=False)
        return
    there = _text_of(unit.path)
    if there is not None and not force:
        _check_ours(unit.path, there)
    _write(unit)
    print_message(f"written: {unit.path}")
    if now:
        for command in unit.enable:
            _run(command)
        print_message("enabled and started")
    following = [] if now else [shlex.join(command) for command in unit.enable]
    for line in (*following, *unit.after):
        print_message(f"next:    {line}")


@click.command()
@_scoped
@click.pass_obj
def uninstall(session: Session, scope: str) -> None:
    """Stop the service and remove its file. Running tasks continue."""
    unit = _unit(session, scope)
    there = _text_of(unit.path)
    if there is None:
        print_message(f"nothing to remove: {unit.path}")
        return
    _check_ours(unit.path, there)
    disable, *others = unit.disable
    _try(disable)
    try:
        unit.path.unlink()
    except OSError as problem:
        raise _unusable(unit.path, problem) from problem
    for command in others:
        _try(command)
    print_message(f"removed: {unit.path}")


def restart_service(scope: str) -> None:
    """Let the service manager restart a service. Raises StateDirError."""
    if sys.platform == "darwin":
        from provctl.daemon.service_units import LABEL

        domain = f"gui/{os.getuid()}" if scope == "user" else "system"
        _run(("launchctl", "kickstart", "-k", f"{domain}/{LABEL}"))
    else:
        own = ("--user",) if scope == "user" else ()
        _run(("systemctl", *own, "restart", "provctl.service"))
    print_message("restarted by its service manager")


def _unit(session: Session, scope: str) -> ServiceFile:
    from provctl.daemon.service_units import ServiceSpec, unit_of

    service = ServiceSpec(
        argv=(*installed(), "scheduler", "serve"),
        environment=_environment(session),
        scope=scope,
        user=_owner_of(session.state_dir) if scope == "system" else None,
    )
    unit = unit_of(service, session.environ)
    if unit is None:
        message = f"no supported service manager found ({sys.platform})"
        raise UsageError(
            message, hint="run provctl scheduler serve under your own service manager"
        )
    return unit


def _environment(session: Session) -> Dict[str, str]:
    """The variables of this command that the scheduler gets; no secrets."""
    from provctl.config.registry import VARIABLES

    settings = [v for v, key in VARIABLES.items() if key.name != "storage.data_dir"]
    wanted = {*_PASSED_ON, *settings}
    found = {k: v for k, v in sorted(session.environ.items()) if k in wanted}
    found["PROVCTL_STATE_DIR"] = str(session.folder.path)
    config = session.config_file or session.environ.get("PROVCTL_CONFIG")
    if config:
        found["PROVCTL_CONFIG"] = str(Path(config).absolute())
    return found


def _owner_of(folder: Path) -> Optional[str]:
    """The (future) owner of the state directory; a machine's unit runs as it."""
    import pwd

    while not folder.exists():
        folder = folder.parent
    try:
        return pwd.getpwuid(folder.stat().st_uid).pw_name
    except KeyError:
        return None


def _text_of(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable(path, problem) from problem


def _check_ours(path: Path, text: str) -> None:
    from provctl.daemon.service_units import is_ours

    if not is_ours(text):
        message = f"{path}: this file was not written by provctl scheduler install"
        raise RequestRejected(message, hint="move it away, or --force to overwrite it")


def _write(unit: ServiceFile) -> None:
    aside = unit.path.with_name(f".{unit.path.name}.{os.getpid()}")
    try:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(unit.text, encoding="utf-8")
        aside.chmod(0o644)  # whatever the umask: who can write it chooses what runs
        aside.replace(unit.path)
    except OSError as problem:
        raise _unusable(unit.path, problem) from problem


def _unusable(path: Path, problem: OSError) -> StateDirError:
    message = f"{path}: {problem.strerror}"
    return StateDirError(message, hint="--system needs root; --user does not")


def _try(command: Sequence[str]) -> None:
    """Run a command of the service manager; ignore it if it is missing."""
    try:
        _run(command)
    except StateDirError as problem:
        print_message(f"failed: {problem.message}")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        message = f"{shlex.join(command)}: {problem}"
        raise StateDirError(
            message, hint="check that this machine uses this service manager"
        ) from problem
    if done.returncode:
        output = done.stdout.decode(errors="replace").strip()
        message = f"{shlex.join(command)} failed: {output or done.returncode}"
        raise StateDirError(
            message, hint="see its message, then: " + shlex.join(command)
        )
