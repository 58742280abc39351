"""Where the API listens, and that nothing of it is loaded before somebody comes.

The sockets are bound when the scheduler starts. FastAPI and uvicorn, which cost time
and memory, are imported in a thread when the first connection is there; it waits.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, FrozenSet, List, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.base.unix_socket import bind_private
from provctl.errors import InvalidConfig, StateDirError

_LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}
_BACKLOG = 256
_KEEP_ALIVE_S = 15
_ENDS_S = 2.0  # between the last word to the clients and hanging up


@light_dataclass
class BoundSocket:
    """A bound socket. `kind` is "unix" or "tcp"; `address` as people write it."""

    kind: str
    sock: socket.socket
    address: str

    def close(self) -> None:
        """Listen no more, and leave nothing."""
        self.sock.close()
        if self.kind == "unix":
            with suppress(OSError):  # the next owner takes it away
                Path(self.address.partition(":")[2]).unlink()

    @property
    def hosts(self) -> FrozenSet[bytes]:
        """What a Host header may say, of TCP."""
        port = self.sock.getsockname()[1]
        names = ("127.0.0.1", "localhost", "[::1]")
        return frozenset(f"{name}:{port}".encode("ascii") for name in names)


def unix_socket(path: Path) -> BoundSocket:
    """Bind a socket for this user alone. Raises StateDirError."""
    sock = bind_private(path)
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return BoundSocket("unix", sock, f"unix:{path}")


def tcp_socket(host: str, port: int) -> BoundSocket:
    """Bind an address of loopback.

    Raises InvalidConfig for any other address, StateDirError if the port is taken.
    """
    where = _LOOPBACK.get(host.strip("[]").lower())
    if where is None:
        message = f"server.host = {host}: the API can only listen on loopback"
        hint = "use 127.0.0.1, ::1 or localhost; for remote access use ssh -L"
        raise InvalidConfig(message, hint=hint)
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    # By its protocol asyncio knows that answers must not wait for acknowledgements.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    name = f"[{where}]" if ":" in where else where
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((where, port))
        sock.listen(_BACKLOG)
    except OSError as problem:
        sock.close()
        message = f"{name}:{port}: {problem.strerror}"
        raise StateDirError(message, hint="choose another server.port") from problem
    sock.setblocking(False)
    return BoundSocket("tcp", sock, f"http://{name}:{sock.getsockname()[1]}")


class LazyHttpServer:
    """Serves on some doors what `load` returns, an ASGI app. Of the event loop.

    `load` is called in a thread, once; `say` puts a line into the log.
    """

    def __init__(
        self,
        doors: Sequence[BoundSocket],
        load: Callable[[], Any],
        say: Callable[[str], None],
    ) -> None:
        self._doors = doors
        self._load = load
        self._say = say
        self._begun: Optional[asyncio.Task[None]] = None
        self._servers: List[asyncio.AbstractServer] = []
        self._states: List[Any] = []

    @property
    def addresses(self) -> List[str]:
        """Where it answers."""
        return [door.address for door in self._doors]

    def open(self) -> None:
        """Wait for the first connection, which costs nothing."""
        loop = asyncio.get_running_loop()
        for door in self._doors:
            loop.add_reader(door.sock, self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        for door in self._doors:
            loop.remove_reader(door.sock)
        self._begun = loop.create_task(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            app, make = await loop.run_in_executor(None, self._load_app)
        except ImportError as problem:
            self._say(f"the API cannot be loaded: {problem}")
            for door in self._doors:
                door.close()
            return
        for door in self._doors:
            protocol, state = make(app, door.kind)
            server = await loop.create_server(
                protocol, sock=door.sock, backlog=_BACKLOG
            )
            self._servers.append(server)
            self._states.append(state)

    def _load_app(self) -> Any:
        """Import what it takes; return the app, and what makes connections."""
        from uvicorn.config import Config
        from uvicorn.server import ServerState

        from provctl.api.http.connection_limits import (
            LimitedConnection,
            limit_requests,
        )

        def make(app: Any, kind: str) -> Any:
            config = Config(
                limit_requests(app),
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
            )
            config.load()
            state = ServerState()

            def protocol() -> LimitedConnection:
                return LimitedConnection(config, state, kind)

            return protocol, state

        return self._load(), make

    async def close(self) -> None:
        """Let nobody in any more, and hang up on who is there."""
        loop = asyncio.get_running_loop()
        for door in self._doors:
            loop.remove_reader(door.sock)
        if self._begun is not None:
            await self._begun
        for server in self._servers:
            server.close()
        for state in self._states:
            for connection in list(state.connections):
                connection.shutdown()
        answering = [task for state in self._states for task in state.tasks]
        if answering:
            await asyncio.wait(answering, timeout=_ENDS_S)
        await asyncio.sleep(0)
        for state in self._states:
            for connection in list(state.connections):
                connection.transport.abort()
        for door in self._doors:
            door.close()
