"""Limits of uvicorn's protocol for requests that follow each other closely."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, AsyncIterator, List, Tuple

import pytest

from provctl.api.http import connection_limits
from provctl.api.http.connection_limits import LimitedConnection, limit_requests
from provctl.api.http.security_middleware import SecurityMiddleware
from tests.support.scheduler_harness import in_a_loop

if TYPE_CHECKING:
    from pathlib import Path

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"


class Requests:
    """An app that records requests, and those whose client has gone."""

    def __init__(self) -> None:
        self.paths: List[str] = []
        self.waits = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer at once, except for `/wait`."""
        self.paths.append(scope["path"])
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/wait":
            self.waits.set()
            while (await receive())["type"] != "http.disconnect":
                continue
            self.gone.set()
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(
    path: Path, app: Requests
) -> AsyncIterator[Tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    guarded = limit_requests(SecurityMiddleware(app, token=None, hosts={}))
    config = Config(
        guarded, http="httptools", ws="none", lifespan="off", log_config=None
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: LimitedConnection(config, state, "unix"), str(path / "s")
    )
    reader, writer = await asyncio.open_unix_connection(str(path / "s"))
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


async def statuses(reader: asyncio.StreamReader) -> List[str]:
    """The statuses of all responses until the other side closes."""
    said = (await reader.read()).decode("ascii")
    return re.findall(r"HTTP/1\.1 (\d{3}) ", said)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_S", 0.01)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("pieces", [[GET, b"GET /he"], [GET + b"GET /he", b"a"]])
@in_a_loop
async def test_each_request_head_has_its_own_timeout(
    tmp_path: Path, pieces: List[bytes]
) -> None:
    async with served(tmp_path, Requests()) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
            if piece is pieces[0]:
                assert b"200" in await reader.readuntil(b"\r\n\r\nok")
        assert await statuses(reader) == ["408"]


@pytest.mark.usefixtures("hurried")
@in_a_loop
async def test_response_may_take_longer_than_the_head_timeout(tmp_path: Path) -> None:
    # The control.
    app = Requests()
    async with served(tmp_path, app) as (reader, writer):
        writer.write(WAIT)
        await app.waits.wait()
        await asyncio.sleep(0.05)
        assert not app.gone.is_set()
        assert b"200" in await reader.readuntil(b"\r\n\r\n")


@in_a_loop
async def test_refusal_is_never_inserted_into_a_response(tmp_path: Path) -> None:
    app = Requests()
    async with served(tmp_path, app) as (reader, writer):
        writer.write(WAIT)
        await app.waits.wait()
        writer.write(b"\x16\x03\x01\r\n\r\n")
        assert await statuses(reader) == ["200"]
    async with served(tmp_path / ".", app) as (reader, writer):
        writer.write(b"\x16\x03\x01\r\n\r\n")  # the control
        assert await statuses(reader) == ["400"]


@in_a_loop
async def test_head_during_a_slow_response_is_limited(tmp_path: Path) -> None:
    app = Requests()
    async with served(tmp_path, app) as (reader, writer):
        writer.write(WAIT)
        await app.waits.wait()
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 65536)
        assert await statuses(reader) == ["200"]


@in_a_loop
async def test_unused_body_is_read(tmp_path: Path) -> None:
    app = Requests()
    body = b"x" * 100_000
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    async with served(tmp_path, app) as (reader, writer):
        for _ in range(2):
            writer.write(head)
            await asyncio.sleep(0)
            writer.write(body)
            assert b"200" in await reader.readuntil(b"\r\n\r\nok")
    assert app.paths == ["/health", "/health"]
