"""Clients that send a body after a refused head can read the refusal."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Dict, Iterator, Tuple

import psutil
import pytest

from provctl.api.http.lingering_close import MOST
from tests.support.api import Api, start_api

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_PIECE = b" " * (64 << 10)
_KIND = {"Content-Type": "application/json"}


@pytest.fixture(params=["tcp", "unix"])
def api(provctl: Provctl, request: pytest.FixtureRequest) -> Api:
    tcp = start_api(provctl)
    return tcp if request.param == "tcp" else Api(provctl.state)


def pieces(connection: HTTPConnection, count: int) -> Iterator[bytes]:
    """A body that is sent after the response, when nobody reads bodies any more."""
    assert connection.sock.recv(1, socket.MSG_PEEK)
    for _ in range(count):
        yield _PIECE


def refused(connection: HTTPConnection, **headers: str) -> Tuple[int, bytes]:
    """Send a head, then the body, then read, as most clients do."""
    with closing(connection):
        connection.connect()
        sent = {"Transfer-Encoding": "chunked", **headers}
        body = pieces(connection, 32)
        connection.request("POST", "/workflows/submit", body, sent, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({**_KIND, "Origin": "http://evil"}, 403),
        ({**_KIND, "X": "x" * (17 << 10)}, 431),
        ({**_KIND, **{f"X-{n}": "" for n in range(100)}}, 431),
    ],
)
def test_client_that_keeps_sending_reads_the_refusal(
    api: Api, headers: Dict[str, str], status: int
) -> None:
    told = refused(api.connect(), **{**api.headers(), **headers})
    assert told[0] == status
    assert json.loads(told[1])["success"] is False


def test_client_without_a_token_reads_the_refusal(provctl: Provctl) -> None:
    assert refused(start_api(provctl).connect(), **_KIND)[0] == 401


def test_too_large_body_is_refused_while_it_arrives(provctl: Provctl) -> None:
    api = start_api(provctl)
    for size, body in ((len(_PIECE) * 300, _PIECE * 300), (1 << 40, _PIECE * 32)):
        told = {**_KIND, "Content-Length": str(size)}
        answer = api.ask("POST", "/workflows/submit", body, told)
        assert answer.status == 413
        assert "larger than 16 MiB" in answer.error


def test_control_refusal_is_lost_if_the_server_closes_at_once() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            line, _ = server.accept()
            with closing(line):
                line.recv(1 << 16)
                line.sendall(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        host, port = server.getsockname()
        with pytest.raises(ConnectionError):
            refused(HTTPConnection(host, port, timeout=20))
        thread.join(timeout=20)


def test_server_does_not_read_a_refused_body_forever(provctl: Provctl) -> None:
    api = start_api(provctl)
    head = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    with closing(api.raw()) as endless, closing(api.raw()) as silent:
        for line in (silent, endless):
            line.sendall(head)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 421")
        sent = 0
        with suppress(ConnectionError):
            while sent < 4 * MOST:
                endless.sendall(_PIECE)
                sent += len(_PIECE)
        assert MOST <= sent < 2 * MOST
        (pid,) = provctl.schedulers()
        port = silent.getsockname()[1]

        def is_let_go() -> bool:
            lines = psutil.Process(pid).net_connections("tcp")
            return all(line.raddr[1:] != (port,) for line in lines)

        assert not is_let_go()
        provctl.until(is_let_go, "who says nothing is hung up on")
    assert api.get("/health").status == 200
