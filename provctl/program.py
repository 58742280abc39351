"""Owns where this program is, and how it is started once more."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional, Tuple

__all__ = ["again", "program_path"]


def again() -> Tuple[str, ...]:
    """Return the command that is this program, to which arguments are added.

    The single file goes by its own path: what it was unpacked to may be replaced.
    """
    single = _single_file()
    return (single,) if single else (sys.executable, "-I", "-m", "provctl")


def program_path() -> str:
    """Return the path of this program, for others to call; empty if it has none."""
    program = _single_file() or str(Path(sys.executable).with_name("provctl"))
    return program if os.access(program, os.X_OK) else ""


def _single_file() -> Optional[str]:
    """The file that unpacked this interpreter, as its launcher says, if it is there."""
    path = sys._xoptions.get("provctl")
    if isinstance(path, str) and os.access(path, os.X_OK):
        return path
    return None
