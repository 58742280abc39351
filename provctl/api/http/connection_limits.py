"""One HTTP connection: what is refused before any request is whole.

uvicorn with httptools reads HTTP; llhttp refuses by itself what can be understood in
two ways (a length and chunks, wrong chunks, control characters). Added here is what
bounds it: who may connect, how many, how large a head may be and how long it may take;
and that whoever is refused can read why, though it is still sending.
"""

from __future__ import annotations

import http
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Optional, Tuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from provctl.api.http.lingering_close import LingeringTransport
from provctl.api.http.responses import error_body
from provctl.base.unix_socket import is_ours

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


CONNECTIONS_MAX = 64  # of each address; what is more gets 503
HEAD_S = 10.0  # for the head of a request
_HARD_MAX = 4 * CONNECTIONS_MAX  # more do not even get an answer
_SURPLUS_S = 2.0
_HEAD_MAX = 16 * 1024  # bytes of headers
_URL_MAX = 8 * 1024
_HEADERS_MAX = 100

_Refusal = Tuple[int, str]


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's protocol with limits. `app_state` says which door it came through."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusal: Optional[_Refusal] = None
        self._surplus = False
        self._in_head = True
        self._head_bytes = 0
        self._head_alarm: Optional[TimerHandle] = None
        self._line: Optional[LingeringTransport] = None
        self._refused = False
        # uvicorn itself knows only the last of those that were sent together.
        self._cycles: Deque[RequestResponseCycle] = deque()

    def connection_made(  # type: ignore[override]  # as in uvicorn
        self, transport: Transport
    ) -> None:
        """Let in who may, and be counted."""
        sock = transport.get_extra_info("socket")
        is_stranger = self.app_state["door"] == "unix" and not is_ours(sock)
        if is_stranger or len(self.connections) >= _HARD_MAX:
            self.transport = transport
            transport.abort()
            return
        # A request that is being sent, or a head that was not read on, has more to come.
        self._line = LingeringTransport(
            transport, self.loop, lambda: self._refused or not self._in_head
        )
        super().connection_made(cast("Transport", self._line))
        self._surplus = len(self.connections) > CONNECTIONS_MAX
        self._await_head()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Be counted no more, and let no answer go on."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._head_is_there()
        if self._line is not None:
            self._line.closed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; no head without an end is kept."""
        if self._line is not None and self._line.is_lingering:
            self._line.discard(len(data))
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        too_much = self._in_head and self._head_bytes > _HEAD_MAX + _URL_MAX
        if too_much and not self.transport.is_closing():
            self._refuse(431, "the headers are larger than 16 KiB")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._await_head()
        self.scope["state"]["drop"] = self.transport.abort

    def on_headers_complete(self) -> None:
        """Hand the request on, if its head is within the limits."""
        self._in_head, self._head_bytes = False, 0
        self._head_is_there()
        self._refusal = self._refusal_of_head()
        if self._refusal is not None:
            raise ValueError  # ends the parsing; see `send_400_response`
        super().on_headers_complete()
        self._cycles.append(self.cycle)

    def _refusal_of_head(self) -> Optional[_Refusal]:
        if self._surplus:
            return 503, f"more than {CONNECTIONS_MAX} connections are open"
        if len(self.url) > _URL_MAX:
            return 414, "the address is longer than 8 KiB"
        if len(self.headers) > _HEADERS_MAX:
            return 431, f"the request has more than {_HEADERS_MAX} headers"
        if sum(len(name) + len(value) + 4 for name, value in self.headers) > _HEAD_MAX:
            return 431, "the headers are larger than 16 KiB"
        return None

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, and read no other before all are answered."""
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, or was refused while it was."""
        self._refuse(*(self._refusal or (400, "this is not an HTTP/1.1 request")))

    def _await_head(self) -> None:
        if self._head_alarm is None:
            wait = _SURPLUS_S if self._surplus else HEAD_S
            self._head_alarm = self.loop.call_later(wait, self._head_is_late)

    def _head_is_there(self) -> None:
        if self._head_alarm is not None:
            self._head_alarm.cancel()
            self._head_alarm = None

    def _head_is_late(self) -> None:
        self._head_alarm = None
        if self._surplus:
            self._refuse(503, f"more than {CONNECTIONS_MAX} connections are open")
        else:
            self._refuse(408, f"no complete request headers within {HEAD_S:g} seconds")

    def _refuse(self, status: int, message: str) -> None:
        """Say why, if nothing else is being said, and hang up."""
        if self.transport.is_closing():
            return
        self._refused = True
        cycle: Optional[RequestResponseCycle] = self.cycle  # None at first
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = error_body(message)
            phrase = http.HTTPStatus(status).phrase
            head = (
                f"HTTP/1.1 {status} {phrase}\r\nconnection: close\r\n"
                "content-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()
