"""The control socket: one JSON object a line each way between command and owner.

    {"verb": "cancel", "run": "k3f9x2m7qa", "reason": "...", "now": false}
    {"ok": true, ...}   or   {"ok": false, "error": "...", "hint": "...", "exit_code": 41}

Every owner of runs has one: a foreground run beside its journal, the background
scheduler in its own folder. An answer is given when what it says is durable.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Mapping, Optional

from provctl import __version__, errors
from provctl.base.unix_socket import bind_private, is_ours

if TYPE_CHECKING:
    from pathlib import Path


Handler = Callable[[Mapping[str, Any]], Awaitable[Dict[str, Any]]]

_LINE_MAX = 64 * 1024  # bytes
_CLIENTS_MAX = 64


class ControlServer:
    """Sends the results of `handler`, and its ProvctlErrors, as responses."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: Optional[asyncio.AbstractServer] = None
        self._clients = 0

    async def start(self) -> None:
        """Bind and listen. Only the holder of the lock beside it may call this.

        Raises StateDirError, also if another kind of file is there.
        """
        sock = bind_private(self._path)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=sock, limit=_LINE_MAX
        )

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with suppress(OSError):  # the next owner removes it
                self._path.unlink()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._clients += 1
        try:
            if self._clients <= _CLIENTS_MAX and is_ours(
                writer.get_extra_info("socket")
            ):
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
                return  # longer than any request
            if not line:
                return
            answer = await self._answer(line)
            writer.write(json.dumps(answer).encode("ascii") + b"\n")
            await writer.drain()

    async def _answer(self, line: bytes) -> Dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                return _refusal(errors.UsageError("a request must be a record"))
            return {"ok": True, **await self._handler(request)}
        except (ValueError, RecursionError):
            return _refusal(
                errors.UsageError("a request must be one JSON record per line")
            )
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
