"""Where the API listens; its code is imported at the first connection.

The sockets are bound when the scheduler starts. FastAPI and uvicorn need time and
memory, so they are imported in a thread when the first client connects; it waits.
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
_ENDS_S = 2.0  # between the last data to the clients and closing


@light_dataclass
class BoundSocket:
    """A bound socket. `kind` is "unix" or "tcp"; `address` is written as for users."""

    kind: str
    sock: socket.socket
    address: str

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.sock.close()
        if self.kind == "unix":
            with suppress(OSError):  # the next owner removes it
                Path(self.address.partition(":")[2]).unlink()

    @property
    def hosts(self) -> FrozenSet[bytes]:
        """The allowed Host headers for TCP."""
        port = self.sock.getsockname()[1]
        names = ("127.0.0.1", "localhost", "[::1]")
        return frozenset(f"{name}:{port}".encode("ascii") for name in names)


def unix_socket(path: Path) -> BoundSocket:
    """Bind a socket for this user only. Raises StateDirError."""
    sock = bind_private(path)
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return BoundSocket("unix", sock, f"unix:{path}")


def tcp_socket(host: str, port: int) -> BoundSocket:
    """Bind a loopback address.

    Raises InvalidConfig for any other address, StateDirError if the port is used.
    """
    where = _LOOPBACK.get(host.strip("[]").lower())
    if where is None:
        message = f"server.host = {host}: the API can only listen on loopback"
        hint = "use 127.0.0.1, ::1 or localhost; for remote access use ssh -L"
        raise InvalidConfig(message, hint=hint)
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol number of a socket is TCP.
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
    """Serves the ASGI app that `load` returns on some sockets, in the event loop.

    `load` is called once, in a thread; `say` writes a line to the log.
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
        self._serving: Optional[asyncio.Task[None]] = None
        self._servers: List[asyncio.AbstractServer] = []
        self._states: List[Any] = []

    @property
    def addresses(self) -> List[str]:
        """The addresses on which it listens."""
        return [door.address for door in self._doors]

    def open(self) -> None:
        """Wait for the first connection, which uses no resources."""
        loop = asyncio.get_running_loop()
        for door in self._doors:
            loop.add_reader(door.sock, self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        for door in self._doors:
            loop.remove_reader(door.sock)
        self._serving = loop.create_task(self._serve())

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
        """Import the code; return the app and the factory of connections."""
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
        """Accept no more connections, and close the existing ones."""
        loop = asyncio.get_running_loop()
        for door in self._doors:
            loop.remove_reader(door.sock)
        if self._serving is not None:
            await self._serving
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
