"""Addresses of Unix sockets: paths of any length, and private sockets."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Callable

from provctl.errors import StateDirError

if TYPE_CHECKING:
    from pathlib import Path


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


def bind_private(path: Path) -> socket.socket:
    """Return a socket bound to `path`, with mode 0600 from the start.

    Only the holder of the lock beside it may call this. Raises StateDirError, also if
    another kind of file is there.
    """
    sock = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        _make_way(path)
        with_short_path(path, sock.bind)
    except OSError as problem:
        sock.close()
        message = f"{path}: {problem.strerror}"
        raise StateDirError(message) from problem
    except StateDirError:
        sock.close()
        raise
    finally:
        os.umask(mask)
    return sock


def _make_way(path: Path) -> None:
    """Remove the socket of a dead holder, and nothing else. Raises StateDirError."""
    if path.is_socket() and not path.is_symlink():
        path.unlink()
    elif path.exists() or path.is_symlink():
        message = f"{path}: a file that is not a socket has this path"
        raise StateDirError(message, hint="move it to another place")


def is_ours(sock: socket.socket) -> bool:
    """Whether the other end belongs to the same user, as the kernel reports."""
    if sys.platform != "linux":
        return True  # there the mode of the folder protects the socket
    size = struct.calcsize("3i")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid())
