"""The checks of what remains when commands end: the API's port and token, services."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple, Union

from provctl.base.limited_process import output_of
from provctl.base.safe_open import read_own
from provctl.cli.doctor.check_context import CheckNote
from provctl.errors import MissingTool, StateDirError

if TYPE_CHECKING:
    from provctl.cli.doctor.check_context import CheckContext


_ASK_S = 20.0  # a machine under load loads the API slowly, at its first client
_SHOWN = 10  # names


def api_port(surroundings: CheckContext) -> Union[str, CheckNote]:
    """Whether the ports of the API are free, or used by our scheduler."""
    addresses = surroundings.settings.addresses
    if not addresses:
        return "unix socket only; no port is set in [server]"
    from provctl.storage.lock import lock_owner

    runs = lock_owner(surroundings.state_dir / "scheduler" / "lock") is not None
    notes: List[str] = []
    unused: List[str] = []
    for host, port in addresses:
        where = f"{host}:{port}"
        problem = _why_taken(host, port)
        if problem is None:
            (unused if runs else notes).append(where)
        elif runs and _is_api(host, port):
            notes.append(where)
        else:
            message = f"the API cannot listen at {where}: {problem}"
            hint = "the port is in use by another program; choose another port"
            raise StateDirError(message, hint=hint)
    if unused:
        detail = f"{', '.join(unused)}: the running scheduler does not listen there"
        return CheckNote(
            detail, "provctl scheduler restart (running tasks are not affected)"
        )
    found = ", ".join(notes)
    are = "is" if len(notes) == 1 else "are"
    detail = f"the API is available at {found}" if runs else f"{found} {are} free"
    conflict = surroundings.settings.port_conflict
    return detail if conflict is None else CheckNote(detail, conflict)


def _is_api(host: str, port: int) -> bool:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(host, port, timeout=_ASK_S)
    try:
        connection.request("GET", "/health")
        return b'"healthy"' in connection.getresponse().read(4096)
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _why_taken(host: str, port: int) -> Optional[str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
    except OSError as problem:
        return str(problem.strerror or problem)
    return None


def api_token(surroundings: CheckContext) -> str:
    """Whether only its owner can read the token."""
    path = surroundings.state_dir / "scheduler" / "token"
    try:
        info = os.lstat(path)
    except OSError:
        return "not created yet; the scheduler creates it"
    mode = stat.S_IMODE(info.st_mode)
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or mode & 0o077:
        message = f"{path}: other users can read or change it"
        hint = f"replace it: rm {path}, then provctl scheduler restart"
        raise StateDirError(message, hint=hint)
    return f"{path} (mode {mode:04o})"


def service(surroundings: CheckContext) -> Union[str, CheckNote]:
    """Whether the program of the scheduler's service unit exists, if any."""
    found = [path for path in _units(surroundings) if path.exists()]
    if not found:
        return "not installed; the scheduler starts on demand"
    for path in found:
        program = _program_of(path)
        if program is not None and not os.access(program, os.X_OK):
            message = f"{path}: its program no longer exists: {program}"
            hint = "provctl scheduler install --force rewrites it"
            raise StateDirError(message, hint=hint)
    return ", ".join(map(str, found))


def schedules(surroundings: CheckContext) -> Union[str, CheckNote]:
    """Whether all schedules can be read, and a scheduler runs to submit them."""
    from provctl.storage.layout import StateDir
    from provctl.storage.lock import lock_owner
    from provctl.storage.schedules import Schedules

    found = Schedules(StateDir(surroundings.state_dir))
    names = found.names()
    for name in names:
        found.past(found.read(name))
    if not names:
        return "none"
    detail = f"{len(names)}: {', '.join(names[:_SHOWN])}"
    if lock_owner(surroundings.state_dir / "scheduler" / "lock") is None:
        advice = (
            "provctl scheduler start, or install it as a service: provctl scheduler"
            " install"
        )
        return CheckNote(
            f"{detail}; no scheduler is running, so nothing is submitted", advice
        )
    return detail


def submissions(surroundings: CheckContext) -> Union[str, CheckNote]:
    """Whether all submissions were completed."""
    from provctl.runs.summary_cache import accounts
    from provctl.storage.layout import StateDir

    found = accounts(StateDir(surroundings.state_dir))
    left = [run.id for run in found if run.status == "incomplete"]
    if not left:
        return "all complete"
    names = ", ".join(left[:_SHOWN])
    advice = (
        f"provctl rm {' '.join(left[:_SHOWN])} (or continue it: provctl resume RUN)"
    )
    return CheckNote(
        f"incomplete, because submit was killed: {len(left)}: {names}", advice
    )


def hooks(surroundings: CheckContext) -> Union[str, CheckNote]:
    """Whether the programs of hooks exist, and did not fail the last time."""
    from shutil import which

    from provctl.runs.hooks import failure_file

    commands = surroundings.settings.hooks.on_run_finished
    for argv in commands:
        if which(argv[0], path=surroundings.search_path) is None:
            message = f"hooks.on_run_finished: program {argv[0]} not found"
            raise MissingTool(message, hint="install it, or give its full path")
    try:
        failure = read_own(failure_file(surroundings.state_dir)).decode(
            "utf-8", "replace"
        )
    except OSError:
        return f"{len(commands)} set" if commands else "none"
    log = failure_file(surroundings.state_dir).with_name("hooks.log")
    return CheckNote(f"failed: {failure.strip()}", f"see {log}")


def _units(surroundings: CheckContext) -> Tuple[Path, ...]:
    from provctl.daemon.service_units import ServiceSpec, unit_of

    units = (
        unit_of(ServiceSpec((), {}, scope), surroundings.environ)
        for scope in ("user", "system")
    )
    return tuple(unit.path for unit in units if unit is not None)


def _program_of(path: Path) -> Optional[str]:
    """The program that a unit of ours starts."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith('ExecStart="'):
            return line[len('ExecStart="') :].partition('"')[0]
    return None


def lingering(surroundings: CheckContext) -> Union[str, CheckNote]:
    """Whether background processes survive the logout."""
    if not sys.platform.startswith("linux") or not Path("/run/systemd/system").is_dir():
        return "no systemd: background processes survive logout"
    user = surroundings.environ.get("USER") or str(os.geteuid())
    if os.geteuid() == 0 or Path("/var/lib/systemd/linger", user).exists():
        return "lingering is enabled: background processes survive logout"
    kills = _property("KillUserProcesses")
    advice = f"loginctl enable-linger {user}"
    if kills == "yes":
        detail = "systemd kills background processes at logout, including tasks"
        return CheckNote(detail, advice)
    if any(path.exists() for path in _units(surroundings)):
        detail = "systemd stops your user services at logout"
        return CheckNote(detail, advice)
    return "systemd does not kill background processes at logout"


def _property(name: str) -> str:
    command = [
        *("busctl", "get-property", "org.freedesktop.login1"),
        *("/org/freedesktop/login1", "org.freedesktop.login1.Manager", name),
    ]
    try:
        said = output_of(command, timeout_s=_ASK_S, hint="")
    except MissingTool:
        return ""
    return {"b true": "yes", "b false": "no"}.get(said, "")
