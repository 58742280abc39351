"""Owns finding the Nushell program, and seeing that its plugins are there."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Optional, Sequence

from provctl.errors import ToolMissing

__all__ = ["MINIMUM_VERSION", "check_plugins", "find_nu", "nu_version"]

MINIMUM_VERSION = (0, 114)

_HINT = (
    "install Nushell 0.114 or newer: npm install -g nushell@0.115.1, your "
    "distribution's package nushell, or cargo install nu; then put it on PATH "
    "or set nushell.binary"
)
_TIMEOUT_S = 10.0
_VERSION = r"(\d+)\.(\d+)\.\d+\S*"
# What npm's packages call the machines that the kernel calls so.
_NPM_ARCH = {"x86_64": "x64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}


def find_nu(configured: str, path: str) -> str:
    """Return the absolute path of the Nushell program, looked up without starting it.

    `configured` is a name to look for on `path` (as in PATH), or a path. Where
    it names a script that starts Nushell, as npm installs, the program behind
    it is returned. Raises ToolMissing.
    """
    named = os.path.expanduser(configured)  # noqa: PTH111 - keeps a bare name bare
    found = shutil.which(named, path=path)
    if found is None:
        message = f"Nushell is not there: no program {configured!r}"
        if os.sep not in configured:
            message += " on PATH"
        raise ToolMissing(message, hint=_HINT)
    program = Path(os.path.abspath(found))  # noqa: PTH100 - a link stays a link
    return str(_behind_script(program) if _is_script(program) else program)


def nu_version(binary: str) -> str:
    """Return the version that `binary` reports, such as "0.115.1".

    Raises ToolMissing if it does not run, is not Nushell, or is older than
    `MINIMUM_VERSION`: then its tasks could not return values.
    """
    version = _run([binary, "--version"]).strip()
    match = re.fullmatch(_VERSION, version)
    if match is None:
        message = f"{binary} is not Nushell: its version is {version[:40]!r}"
        raise ToolMissing(message, hint=_HINT)
    if (int(match[1]), int(match[2])) < MINIMUM_VERSION:
        message = f"{binary} is Nushell {version}, which is too old"
        raise ToolMissing(message, hint=_HINT)
    return version


def check_plugins(plugins: Sequence[str]) -> None:
    """Raise ToolMissing unless all of these plugins are programs that are there."""
    missing = [plugin for plugin in plugins if not os.access(plugin, os.X_OK)]
    if missing:
        message = f"nushell.plugins: not there, or not programs: {', '.join(missing)}"
        raise ToolMissing(message, hint="correct nushell.plugins")


def _is_script(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False  # executable but not readable: no script


def _behind_script(script: Path) -> Path:
    """Return the program that `script` starts: npm's by its place, others by asking."""
    packaged = _npm_binary(script.resolve())
    if packaged is not None:
        return packaged
    answer = _run([str(script), "-n", "--no-std-lib", "-c", "$nu.current-exe"]).strip()
    return Path(answer) if os.access(answer, os.X_OK) else script


def _npm_binary(script: Path) -> Optional[Path]:
    """Return the native program in the `node_modules` of a folder above `script`."""
    machine = os.uname().machine
    package = f"@nushell/{sys.platform}-{_NPM_ARCH.get(machine, machine)}/bin/nu"
    places = (folder / "node_modules" / package for folder in script.parents)
    return next((place for place in places if os.access(place, os.X_OK)), None)


def _run(argv: Sequence[str]) -> str:
    import subprocess  # most callers start nothing

    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = f"{argv[0]} does not run: {error}"
        raise ToolMissing(message, hint=_HINT) from error
    return done.stdout.decode(errors="replace")
