"""One HTTP connection: its limits, and what is refused before a request is complete.

uvicorn's own protocol reads HTTP; llhttp refuses ambiguous requests (a length and
chunks, invalid chunks, control characters). This module adds the limits: who may
connect, how many, how large a head may be and how long it may take. A refused client
can read the reason, although it is still sending.

uvicorn's `limit_concurrency` does not fit: with it, idle connections would prevent
others from being served.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Any, Awaitable, Callable, MutableMapping, Optional

from provctl.api.http.lingering_close import LingeringTransport
from provctl.api.http.responses import Refusal, has_body, send_refusal
from provctl.base.unix_socket import is_ours

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]


CONNECTIONS_MAX = 64  # of each address; further ones get 503
HEAD_S = 10.0  # for the head of a request
_HARD_MAX = 4 * CONNECTIONS_MAX  # further ones do not even get a response
_SURPLUS_S = 2.0
_HEAD_MAX = 16 * 1024  # bytes of headers
_URL_MAX = 8 * 1024
_HEADERS_MAX = 100
_TOO_LARGE = Refusal(431, "the headers are larger than 16 KiB")
_NO_REQUEST = Refusal(400, "this is not an HTTP/1.1 request")
_SURPLUS = Refusal(503, f"more than {CONNECTIONS_MAX} connections are open")


def limit_requests(app: App) -> App:
    """Return an app for `LimitedConnection`, which responds or calls this app."""

    async def limited(scope: Message, receive: Receive, send: Send) -> None:
        connection: LimitedConnection = scope["state"]["connection"]
        await connection.answer(app, scope, receive, send)

    return limited


class LimitedConnection(asyncio.Protocol):
    """A connection that uvicorn serves with an app from `limit_requests`.

    `door` is the address that accepted it. uvicorn's protocol does not report where a
    request begins and ends; the app does.
    """

    def __init__(self, config: Config, server_state: ServerState, door: str) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._open = server_state.connections
        protocol: Any = config.http_protocol_class
        state = {"door": door, "connection": self}
        self._inner = protocol(config, server_state, state)
        self._line: Optional[LingeringTransport] = None
        self._exchange: Optional[_Exchange] = None  # the current one
        self._head_alarm: Optional[TimerHandle] = None
        self._head_bytes = 0
        self._requests = 0  # number of requests
        self._surplus = False
        self._refused = False
        self.is_parsing = False
        self.gone = asyncio.Event()

    # -- between socket and uvicorn ----------------------------------------------------

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Accept or refuse the connection, and count it."""
        sock = transport.get_extra_info("socket")
        is_stranger = self._door == "unix" and not is_ours(sock)
        if is_stranger or len(self._open) >= _HARD_MAX:
            transport.abort()
            return
        self._line = LingeringTransport(
            transport, self._loop, lambda: self._refused or self.in_body
        )
        self._inner.connection_made(_InnerTransport(self, self._line))
        self._surplus = len(self._open) > CONNECTIONS_MAX
        self._await_head()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Remove it from the count, and cancel its responses."""
        self.gone.set()
        self._head_is_there()
        if self._line is not None:
            self._line.closed()
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process received data; a head that is too long is not kept."""
        if self._line is None:
            return
        if self._line.is_lingering:
            self._line.discard(len(data))
            return
        if not self.in_body:
            self._head_bytes += len(data)
            if self._exchange is None:
                self._await_head()
        self.is_parsing = True
        self._inner.data_received(data)
        self.is_parsing = False
        if self._head_bytes > _HEAD_MAX + _URL_MAX:
            # Later: if this was the end of the head, the request has started by then.
            self._loop.call_soon(self._check_head)

    def eof_received(self) -> None:
        """The client sends nothing more."""
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pause the response."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Resume the response."""
        self._inner.resume_writing()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._line is not None:
            self._line.abort()

    # -- requests ----------------------------------------------------------------------

    @property
    def in_body(self) -> bool:
        """Whether arriving data is the body of a request."""
        return self._exchange is not None and self._exchange.more_body

    @property
    def may_read(self) -> bool:
        """Whether more may be read: not before the last request has its response."""
        return self._exchange is None or self.in_body

    async def answer(
        self, app: App, scope: Message, receive: Receive, send: Send
    ) -> None:
        """Pass a request to the app if its head is within the limits."""
        self._requests += 1
        self._head_bytes = 0
        self._head_is_there()
        exchange = self._exchange = _Exchange(self, receive, send)
        exchange.more_body = has_body(scope["headers"])
        refusal = self._refusal_of_head(scope)
        try:
            if refusal is None:
                await app(scope, exchange.receive, exchange.send)
            else:
                await send_refusal(exchange.send, refusal)
            if self.gone.is_set():
                await exchange.finish()
        finally:
            self.end(exchange)

    def end(self, exchange: _Exchange) -> None:
        """A request has its response. The next request may have arrived with it."""
        if self._exchange is exchange:
            self._exchange = None
            self._loop.call_soon(self._resume_after, self._requests)

    def _resume_after(self, requests: int) -> None:
        if self._requests != requests or self._line is None or self._line.is_closing():
            return
        self._line.resume_reading()
        if self._head_bytes:
            self._await_head()

    def _refusal_of_head(self, scope: Message) -> Optional[Refusal]:
        if self._surplus:
            return _SURPLUS
        if len(scope["raw_path"]) + len(scope["query_string"]) >= _URL_MAX:
            return Refusal(414, "the address is longer than 8 KiB")
        headers = scope["headers"]
        if len(headers) > _HEADERS_MAX:
            return Refusal(431, f"the request has more than {_HEADERS_MAX} headers")
        if sum(len(name) + len(value) + 4 for name, value in headers) > _HEAD_MAX:
            return _TOO_LARGE
        return None

    # -- refusals ----------------------------------------------------------------------

    def _check_head(self) -> None:
        if self.in_body or self._line is None or not self._line.is_reading():
            return  # nothing arrives, or nothing that belongs to a head
        if self._head_bytes > _HEAD_MAX + _URL_MAX:
            self.refuse(_TOO_LARGE)

    def _await_head(self) -> None:
        if self._head_alarm is None:
            wait = _SURPLUS_S if self._surplus else HEAD_S
            self._head_alarm = self._loop.call_later(wait, self._head_is_late)

    def _head_is_there(self) -> None:
        if self._head_alarm is not None:
            self._head_alarm.cancel()
            self._head_alarm = None

    def _head_is_late(self) -> None:
        self._head_alarm = None
        late = Refusal(408, f"no complete request headers within {HEAD_S:g} seconds")
        self.refuse(_SURPLUS if self._surplus else late)

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal unless a response is being sent, and close the connection."""
        if self._line is None or self._line.is_closing():
            return
        self._refused = True
        if self._exchange is None or not self._exchange.has_answer:
            phrase = http.HTTPStatus(refusal.status).phrase
            head = [f"HTTP/1.1 {refusal.status} {phrase}".encode("ascii")]
            head += [b"%s: %s" % header for header in refusal.headers]
            self._line.write(b"\r\n".join([*head, b"", refusal.body]))
        self._line.close()


class _Exchange:
    """One request and its response, between uvicorn and the app."""

    def __init__(
        self, connection: LimitedConnection, receive: Receive, send: Send
    ) -> None:
        self._connection = connection
        self._receive = receive
        self._send = send
        self._sent_disconnect = False
        self._is_answered = False
        self.more_body = False
        self.has_answer = False

    async def receive(self) -> Message:
        """Return the next part of the body; then, that the client has disconnected."""
        if self.more_body:
            message = await self._receive()
            self.more_body = message.get("more_body", False)
        elif not self._sent_disconnect:
            message = {"type": "http.request", "body": b"", "more_body": False}
        else:
            # uvicorn reports only the last of several requests that were sent together.
            await self._connection.gone.wait()
            message = {"type": "http.disconnect"}
        self._sent_disconnect = True
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        self.has_answer = True
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._is_answered = True
            self._connection.end(self)

    async def finish(self) -> None:
        """End a response that no client waits for.

        If several requests were sent together, uvicorn treats only the last one as
        abandoned, and logs an error for each other response without an end.
        """
        if self.has_answer and not self._is_answered:
            await self.send({"type": "http.response.body", "body": b""})


class _InnerTransport:
    """The transport that uvicorn's protocol sees."""

    def __init__(self, connection: LimitedConnection, line: LingeringTransport) -> None:
        self._connection = connection
        self._line = line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    def write(self, data: bytes) -> None:
        """Send a part of a response; replace uvicorn's answer to invalid requests."""
        if self._connection.is_parsing:
            self._connection.refuse(_NO_REQUEST)
        else:
            self._line.write(data)

    def close(self) -> None:
        """Close the connection, if that has not started."""
        if not self._line.is_closing():
            self._line.close()

    def resume_reading(self) -> None:
        """Resume reading, unless requests would accumulate."""
        if self._connection.may_read:
            self._line.resume_reading()
