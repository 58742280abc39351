"""Clients of the API in tests: standard library only, over TCP or the socket."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Union

from provctl.base.unix_socket import with_short_path
from tests.support.attempts import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

__all__ = ["Answer", "Api", "Event", "Stream", "free_port", "start_api"]

# Above those that servers like to have, below Linux's ip_local_port_range.
_LOWEST, _PORTS = 11_000, 20_000

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """A response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, as data."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """The data of a successful response."""
        whole = self.json()
        assert whole["success"] is True, whole
        return whole["data"]

    @property
    def error(self) -> str:
        """The error message."""
        whole = self.json()
        assert whole["success"] is False, whole
        return str(whole["error"])


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    id: str
    kind: str
    data: Any


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        with_short_path(self._path, self.sock.connect)


def free_port() -> int:
    """Return a port on which nobody listens.

    It is one that the kernel does not assign automatically. Otherwise a client of
    another process could get it before the scheduler listens on it.
    """
    while True:
        port = _LOWEST + int.from_bytes(os.urandom(2), "big") % _PORTS
        with closing(socket.socket()) as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


class Api:
    """The API of a state directory's scheduler; with `port` None, by its socket."""

    def __init__(self, state: Path, port: Optional[int] = None) -> None:
        self.state = state
        self.port = port

    @property
    def token(self) -> str:
        """The token, from its file."""
        return (self.state / "scheduler" / "token").read_text().strip()

    def connect(self, *, timeout_s: float = PATIENCE_S) -> HTTPConnection:
        """Return a connection."""
        if self.port is None:
            return _UnixConnection(self.state / "scheduler" / "api.sock", timeout_s)
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def raw(self, *, timeout_s: float = PATIENCE_S) -> socket.socket:
        """Return a raw connection without HTTP."""
        connection = self.connect(timeout_s=timeout_s)
        connection.connect()
        return connection.sock

    def headers(self) -> Dict[str, str]:
        """The headers that a request needs to be accepted."""
        return {"Authorization": f"Bearer {self.token}"} if self.port else {}

    def ask(
        self,
        method: str,
        path: str,
        body: Union[bytes, str, Any, None] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Answer:
        """Send a request; return the response. A body that is not text becomes JSON."""
        sent = {
            **self.headers(),
            **(JSON if method == "POST" else {}),
            **(headers or {}),
        }
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        with closing(self.connect()) as connection:
            connection.request(method, path, body, sent)
            return _answer_in(connection.getresponse())

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET request."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a POST request."""
        return self.ask("POST", path, {} if body is None else body, headers)

    def events(
        self, path: str, last: Optional[str] = None, *, timeout_s: float = PATIENCE_S
    ) -> Stream:
        """Return an open stream; close it, or use it in a `with`."""
        headers = {**self.headers(), **({"Last-Event-ID": last} if last else {})}
        connection = self.connect(timeout_s=timeout_s)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if response.status != 200:
            connection.close()
            raise AssertionError(response.status)
        return Stream(connection, response)

    def all_events(self, path: str, last: Optional[str] = None) -> List[Event]:
        """Return all events of a stream up to its end."""
        with self.events(path, last) as stream:
            return list(stream)


class Stream:
    """Events as they arrive."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self._connection = connection
        self._response = response

    def __iter__(self) -> Iterator[Event]:
        fields: Dict[str, str] = {}
        for raw in self._response:
            name, colon, value = raw.decode("ascii").rstrip("\n").partition(": ")
            if name and colon:
                fields[name] = value
            elif not name and "data" in fields:
                data = json.loads(fields["data"])
                yield Event(fields.get("id", ""), fields["event"], data)
                fields = {}

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _answer_in(response: HTTPResponse) -> Answer:
    headers: List[Any] = response.getheaders()
    return Answer(
        response.status,
        {name.lower(): value for name, value in headers},
        response.read(),
    )


def start_api(provctl: Provctl, **environ: str) -> Api:
    """Start a scheduler that also listens on TCP; return a client for TCP."""
    port = free_port()
    provctl.environ.update({"PROVCTL_SERVER_PORT": str(port), **environ})
    provctl("scheduler", "start")
    return Api(provctl.state, port)
