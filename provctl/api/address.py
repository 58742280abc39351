"""Owns the addresses of control sockets: a path of any length, made to fit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["with_short_path"]

_PATH_MAX = 100  # bytes; the kernel takes 107 on Linux, 103 on macOS


def with_short_path(path: Path, use: Callable[[str], None]) -> None:
    """Call `use` with a name of the socket that fits into its address."""
    if len(os.fsencode(str(path))) <= _PATH_MAX:
        use(str(path))
        return
    folder = os.open(str(path.parent), os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
