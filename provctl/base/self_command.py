"""The path of this program, and the command that starts it again."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Optional, Tuple


def self_command() -> Tuple[str, ...]:
    """Return the command of this program, to which arguments are added.

    The single file uses its own path, because its unpacked tree may be replaced.
    """
    single = _single_file()
    return (single,) if single else (sys.executable, "-I", "-m", "provctl")


def installed() -> Tuple[str, ...]:
    """Return the command of this program; after an upgrade that of the newer one."""
    path = Path(_single_file() or sys.executable).with_name("provctl")
    current = _current(path)
    return self_command() if current is None else (str(current),)


def program_path() -> str:
    """Return the path of this program for other programs; empty if it has none."""
    program = Path(_single_file() or Path(sys.executable).with_name("provctl"))
    program = _current(program) or program
    return str(program) if os.access(program, os.X_OK) else ""


def program_name() -> str:
    """Return the name by which this program was called."""
    called = Path(_single_file() or sys.argv[0]).name
    return called if called in _NAMES else _NAMES[0]


def pip_install(package: str) -> str:
    """Return the command that installs a package for this program."""
    return f"{shlex.quote(sys.executable)} -m pip install {package}"


_NAMES = ("provctl", "provisioning")


def _current(program: Path) -> Optional[Path]:
    """The path that stays valid after upgrades, created by install.sh."""
    folder = program.parent.parent
    current = folder.parent / "current"
    if not folder.name.startswith("env.") or not current.is_symlink():
        return None
    return current / "bin" / program.name


def _single_file() -> Optional[str]:
    """The single file that unpacked this interpreter, if it still exists."""
    path = sys._xoptions.get("provctl")
    if isinstance(path, str) and os.access(path, os.X_OK):
        return path
    return None
