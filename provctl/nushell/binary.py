"""Finds the Nushell program, and checks its plugins."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Optional, Sequence

from provctl.errors import MissingTool

MINIMUM_VERSION = (0, 114)

_HINT = (
    "install it from npm: provctl doctor --fix; or put Nushell 0.114 or newer on"
    " PATH; or set nushell.binary"
)
_TIMEOUT_S = 10.0
_VERSION = r"(\d+)\.(\d+)\.\d+\S*"
# npm's names of machine types, by those of the kernel.
_NPM_ARCH = {"x86_64": "x64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}


def find_nu(configured: str, path: str, own: str = "") -> str:
    """Return the absolute path of the Nushell program.

    `configured` is a path, or a name to search on `path` (as in PATH) and then in the
    folder `own`. If it names a script that starts Nushell, as npm installs, the program
    behind it is returned. Nothing is started to find it, unless it is in both places:
    the second counts if the first is unsuitable. Raises MissingTool.
    """
    named = os.path.expanduser(configured)  # noqa: PTH111 - keeps a bare name bare
    if os.sep in named:
        found = _look_up(named, "")
        if found is None:
            message = f"Nushell not found: no program {configured!r}"
            raise MissingTool(message, hint="correct nushell.binary, or remove it")
        return found
    found, ours = _look_up(named, path), _look_up(named, own)
    if found is None and ours is None:
        message = f"Nushell not found: no program {configured!r} on PATH"
        raise MissingTool(message, hint=_HINT)
    if found is None or (ours is not None and not _fits(found)):
        return str(ours)
    return found


def _look_up(name: str, path: str) -> Optional[str]:
    found = shutil.which(name, path=path)
    if found is None:
        return None
    program = Path(os.path.abspath(found))  # noqa: PTH100 - a link stays a link
    return str(_behind_script(program) if _is_script(program) else program)


def _fits(binary: str) -> bool:
    try:
        nu_version(binary)
    except MissingTool:
        return False
    return True


def nu_version(binary: str) -> str:
    """Return the version that `binary` reports, such as "0.115.1".

    Raises MissingTool if it does not run, is not Nushell, or is older than
    `MINIMUM_VERSION`: then its tasks could not return values.
    """
    version = _run([binary, "--version"])
    match = re.fullmatch(_VERSION, version)
    if match is None:
        message = f"{binary} is not Nushell: its version is {version[:40]!r}"
        raise MissingTool(message, hint=_HINT)
    if (int(match[1]), int(match[2])) < MINIMUM_VERSION:
        message = f"{binary} is Nushell {version}, which is too old"
        raise MissingTool(message, hint=_HINT)
    return version


def check_plugins(plugins: Sequence[str]) -> None:
    """Raise MissingTool unless all of these plugins are existing programs."""
    missing = [plugin for plugin in plugins if not os.access(plugin, os.X_OK)]
    if missing:
        message = f"nushell.plugins: not found or not executable: {', '.join(missing)}"
        raise MissingTool(message, hint="correct nushell.plugins")


def _is_script(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False  # executable but not readable: not a script


def _behind_script(script: Path) -> Path:
    """Return the program that `script` starts: npm's by its path, others by asking."""
    above = script.resolve().parents
    packaged = next(filter(None, map(native_program, above)), None)
    if packaged is not None:
        return packaged
    answer = _run([str(script), "-n", "--no-std-lib", "-c", "$nu.current-exe"])
    return Path(answer) if os.access(answer, os.X_OK) else script


def native_program(folder: Path) -> Optional[Path]:
    """Return this machine's Nushell in the `node_modules` of a folder, if it exists."""
    machine = os.uname().machine
    package = f"@nushell/{sys.platform}-{_NPM_ARCH.get(machine, machine)}"
    program = folder / "node_modules" / package / "bin" / "nu"
    return program if os.access(program, os.X_OK) else None


def _run(argv: Sequence[str]) -> str:
    from provctl.base.limited_process import output_of  # most callers start nothing

    return output_of(argv, timeout_s=_TIMEOUT_S, hint=_HINT)
