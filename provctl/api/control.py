"""Owns the control socket: one JSON object a line each way between command and owner.

    {"verb": "cancel", "run": "k3f9x2m7qa", "reason": "...", "now": false}
    {"ok": true, ...}   or   {"ok": false, "error": "...", "hint": "...", "exit_code": 41}

Every owner of runs has one: a foreground run beside its journal, the background
scheduler in its own folder. An answer is given when what it says is durable.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from provctl import __version__, errors
from provctl.api.address import with_short_path

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ControlServer", "Handler"]

Handler = Callable[[Mapping[str, Any]], Dict[str, Any]]

_LINE_MAX = 64 * 1024  # bytes
_CLIENTS_MAX = 64


class ControlServer:
    """Answers requests with what `handler` returns; its ProvctlErrors are answers."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: Optional[asyncio.AbstractServer] = None
        self._clients = 0

    async def start(self) -> None:
        """Bind and listen. Only the holder of the lock beside it may do this.

        Raises StateUnusable, also for what is there and was never a socket.
        """
        sock = socket.socket(socket.AF_UNIX)
        # The folder is 0700; the socket is 0600 from its first moment on.
        mask = os.umask(0o177)
        try:
            self._make_way()
            with_short_path(self._path, sock.bind)
        except OSError as problem:
            sock.close()
            message = f"{self._path}: {problem.strerror}"
            raise errors.StateUnusable(message) from problem
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=sock, limit=_LINE_MAX
        )

    def _make_way(self) -> None:
        """Take away what a holder that died left; nothing else. Raises StateUnusable."""
        if self._path.is_socket() and not self._path.is_symlink():
            self._path.unlink()
        elif self._path.exists() or self._path.is_symlink():
            message = f"{self._path}: this is in the place of the control socket"
            raise errors.StateUnusable(message, hint="move it away")

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with suppress(OSError):  # the next owner takes it away
                self._path.unlink()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._clients += 1
        try:
            if self._clients <= _CLIENTS_MAX and _is_ours(writer):
                await self._talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._clients -= 1
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                return  # longer than any request is
            if not line:
                return
            writer.write(json.dumps(self._answer(line)).encode("ascii") + b"\n")
            await writer.drain()

    def _answer(self, line: bytes) -> Dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                return _refusal(errors.UsageProblem("a request is a record"))
            return {"ok": True, **self._handler(request)}
        except (ValueError, RecursionError):
            return _refusal(errors.UsageProblem("a request is one JSON record a line"))
        except errors.ProvctlError as problem:
            return _refusal(problem)


def _refusal(problem: errors.ProvctlError) -> Dict[str, Any]:
    return {
        "ok": False,
        "error": problem.message,
        "hint": problem.hint,
        "exit_code": problem.exit_code,
        "version": __version__,
    }


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether the same user is at the other end; the kernel says so."""
    if sys.platform != "linux":
        return True  # the folder's mode is the fence there
    sock = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid())
