"""One HTTP connection: what is refused before any request is whole.

uvicorn's own protocol reads HTTP; llhttp refuses by itself what can be understood in
two ways (a length and chunks, wrong chunks, control characters). Around it stands what
bounds it: who may connect, how many, how large a head may be and how long it may take;
and that whoever is refused can read why, though it is still sending.

uvicorn's `limit_concurrency` does not fit: with it, connections that only wait would
keep everybody from being served.
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


CONNECTIONS_MAX = 64  # of each address; what is more gets 503
HEAD_S = 10.0  # for the head of a request
_HARD_MAX = 4 * CONNECTIONS_MAX  # more do not even get an answer
_SURPLUS_S = 2.0
_HEAD_MAX = 16 * 1024  # bytes of headers
_URL_MAX = 8 * 1024
_HEADERS_MAX = 100
_TOO_LARGE = Refusal(431, "the headers are larger than 16 KiB")
_NO_REQUEST = Refusal(400, "this is not an HTTP/1.1 request")
_SURPLUS = Refusal(503, f"more than {CONNECTIONS_MAX} connections are open")


def limit_requests(app: App) -> App:
    """Return an app for `LimitedConnection`, which answers or hands on to this one."""

    async def limited(scope: Message, receive: Receive, send: Send) -> None:
        connection: LimitedConnection = scope["state"]["connection"]
        await connection.answer(app, scope, receive, send)

    return limited


class LimitedConnection(asyncio.Protocol):
    """A connection that uvicorn serves with an app from `limit_requests`.

    `door` is the address by which it came. uvicorn's protocol tells nobody where a
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
        self._exchange: Optional[_Exchange] = None  # that is under way
        self._head_alarm: Optional[TimerHandle] = None
        self._head_bytes = 0
        self._begun = 0  # requests
        self._surplus = False
        self._refused = False
        self.is_parsing = False
        self.gone = asyncio.Event()

    # -- between socket and uvicorn ----------------------------------------------------

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Let in who may, and be counted."""
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
        """Be counted no more, and let no answer go on."""
        self.gone.set()
        self._head_is_there()
        if self._line is not None:
            self._line.closed()
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; no head without an end is kept."""
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
            # Soon: if this was the end of the head, the request has begun then.
            self._loop.call_soon(self._check_head)

    def eof_received(self) -> None:
        """Nothing more comes."""
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """Have the answer wait."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Have the answer go on."""
        self._inner.resume_writing()

    def abort(self) -> None:
        """Hang up at once."""
        if self._line is not None:
            self._line.abort()

    # -- requests ----------------------------------------------------------------------

    @property
    def in_body(self) -> bool:
        """Whether what comes is the body of a request."""
        return self._exchange is not None and self._exchange.more_body

    @property
    def may_read(self) -> bool:
        """Whether more may come: no other request before the last one is answered."""
        return self._exchange is None or self.in_body

    async def answer(
        self, app: App, scope: Message, receive: Receive, send: Send
    ) -> None:
        """Hand a request on, if its head is within the limits."""
        self._begun += 1
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
        """A request is answered. The next one may have come with it."""
        if self._exchange is exchange:
            self._exchange = None
            self._loop.call_soon(self._go_on, self._begun)

    def _go_on(self, begun: int) -> None:
        if self._begun != begun or self._line is None or self._line.is_closing():
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

    # -- what is no request ------------------------------------------------------------

    def _check_head(self) -> None:
        if self.in_body or self._line is None or not self._line.is_reading():
            return  # nothing comes, or nothing that belongs to a head
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
        """Say why, if nothing else is being said, and hang up."""
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
    """One request and its answer, between uvicorn and the app."""

    def __init__(
        self, connection: LimitedConnection, receive: Receive, send: Send
    ) -> None:
        self._connection = connection
        self._receive = receive
        self._send = send
        self._is_told = False
        self._is_answered = False
        self.more_body = False
        self.has_answer = False

    async def receive(self) -> Message:
        """Return what comes of the body; after it, that the client has gone."""
        if self.more_body:
            message = await self._receive()
            self.more_body = message.get("more_body", False)
        elif not self._is_told:
            message = {"type": "http.request", "body": b"", "more_body": False}
        else:
            # uvicorn tells only the last of those that were sent together.
            await self._connection.gone.wait()
            message = {"type": "http.disconnect"}
        self._is_told = True
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        self.has_answer = True
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._is_answered = True
            self._connection.end(self)

    async def finish(self) -> None:
        """End an answer that nobody waits for any more.

        Of requests that were sent together uvicorn takes only the last for abandoned, and
        logs an error for each other whose answer has no end.
        """
        if self.has_answer and not self._is_answered:
            await self.send({"type": "http.response.body", "body": b""})


class _InnerTransport:
    """The transport as uvicorn's protocol has it."""

    def __init__(self, connection: LimitedConnection, line: LingeringTransport) -> None:
        self._connection = connection
        self._line = line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    def write(self, data: bytes) -> None:
        """Send a part of an answer, or say of what it cannot parse what we say."""
        if self._connection.is_parsing:
            self._connection.refuse(_NO_REQUEST)
        else:
            self._line.write(data)

    def close(self) -> None:
        """Hang up, if that has not begun."""
        if not self._line.is_closing():
            self._line.close()

    def resume_reading(self) -> None:
        """Read on, unless that would pile up requests."""
        if self._connection.may_read:
            self._line.resume_reading()
