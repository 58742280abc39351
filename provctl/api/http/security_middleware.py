"""Checks every request before a route sees it: host, token, origin, and body.

The API runs code, so these checks protect the account. On TCP a request needs the token
and the exact name of the host, so that no web page can send it. An Origin is refused
everywhere. Requests that change something are JSON, limited, and read strictly.
"""

from __future__ import annotations

import asyncio
import re
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    MutableMapping,
    Optional,
    Tuple,
)

from provctl.api.http.responses import Refusal, has_body, send_refusal
from provctl.api.http.strict_json import read_strictly
from provctl.api.http.token import matches

if TYPE_CHECKING:
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]


_BODY_MAX = 1 << 20  # bytes
# A whole workflow; the reader of workflow files reads it as strictly.
_SUBMIT = "/workflows/submit"
_SUBMIT_MAX = 16 << 20
# All large bodies in memory: a submission is kept until it is checked.
_SMALL = 64 << 10
_BODIES_MAX = 64 << 20
_BODY_S = 30.0
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/health"})
_BAD_ESCAPE = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)
_JSON = re.compile(
    rb"application/json\s*(?:;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE
)


class SecurityMiddleware:
    """An ASGI app around another one: passes on the requests that are allowed.

    `hosts` maps each socket kind except "unix" to the allowed Host headers.
    """

    def __init__(
        self, app: App, *, token: Optional[str], hosts: Mapping[str, FrozenSet[bytes]]
    ) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts
        self._room = _BODIES_MAX

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond, or pass the request on with its whole body."""
        headers = _as_lists(scope["headers"])
        refusal = self._of_sender(scope, headers) or _of_shape(scope, headers)
        if refusal is not None:
            await send_refusal(send, refusal)
        elif scope["method"] in _READS and not has_body(scope["headers"]):
            await self._app(scope, receive, send)
        else:
            most = _SUBMIT_MAX if scope["path"] == _SUBMIT else _BODY_MAX
            taken = _room_for(headers, most)
            if taken > self._room:
                size = f"{_BODIES_MAX >> 20} MiB"
                message = f"the bodies of current requests exceed {size} in total"
                await send_refusal(send, Refusal(503, message, "try again later"))
                return
            self._room -= taken
            try:
                await self._with_body(scope, receive, send, most)
            finally:
                self._room += taken

    async def _with_body(
        self, scope: Message, receive: Receive, send: Send, most: int
    ) -> None:
        """Respond, or pass the request on with its body of at most so many bytes."""
        try:
            reading = _whole_body(receive, _as_lists(scope["headers"]), most)
            body = await asyncio.wait_for(reading, _BODY_S)
        except asyncio.TimeoutError:
            refusal = Refusal(408, f"no complete body within {_BODY_S:g} seconds")
        except _TooLarge:
            refusal = Refusal(413, f"the body is larger than {most >> 20} MiB")
        except _Gone:
            return
        else:
            wrong = _of_body(scope, body)
            if wrong is None:
                await self._app(scope, _replay_body(body, receive), send)
                return
            refusal = wrong
        await send_refusal(send, refusal)

    def _of_sender(
        self, scope: Message, headers: Dict[bytes, List[bytes]]
    ) -> Optional[Refusal]:
        """Check the sender and the host."""
        door = scope["state"]["door"]
        if door != "unix":
            hosts = headers.get(b"host", [])
            if len(hosts) != 1 or hosts[0].lower() not in self._hosts[door]:
                return Refusal(421, "the Host header does not name this server")
        if b"origin" in headers:
            return Refusal(403, "requests from web pages are not allowed")
        if door == "unix" or scope["path"] in _OPEN:
            return None
        bearers = headers.get(b"authorization", [])
        if (
            self._token is None
            or len(bearers) != 1
            or not matches(bearers[0], self._token)
        ):
            hint = (
                "send the header Authorization: Bearer TOKEN; the token is in the"
                " file scheduler/token of the state directory"
            )
            return Refusal(401, "the token is missing or wrong", hint)
        return None


def _as_lists(pairs: List[Tuple[bytes, bytes]]) -> Dict[bytes, List[bytes]]:
    headers: Dict[bytes, List[bytes]] = {}
    for name, value in pairs:
        headers.setdefault(name, []).append(value)
    return headers


def _of_shape(scope: Message, headers: Dict[bytes, List[bytes]]) -> Optional[Refusal]:
    """Check the method, the path and the headers."""
    if _BAD_ESCAPE.search(scope["raw_path"]):
        return Refusal(400, "the path must not contain escaped slashes")
    if scope["method"] in _READS:
        return None
    kinds = headers.get(b"content-type", [])
    if len(kinds) != 1 or not _JSON.fullmatch(kinds[0]):
        hint = "send the header Content-Type: application/json"
        return Refusal(415, "requests that change something must be JSON", hint)
    return None


def _of_body(scope: Message, body: bytes) -> Optional[Refusal]:
    if scope["path"] == _SUBMIT or scope["method"] in _READS or not body:
        return None
    try:
        read_strictly(body)
    except ValueError as problem:
        return Refusal(400, f"not JSON: {problem}")
    return None


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


def _room_for(headers: Dict[bytes, List[bytes]], most: int) -> int:
    """The size to reserve for a body, by its headers; 0 for a small one."""
    if b"transfer-encoding" in headers:
        return most
    length = int(headers.get(b"content-length", [b"0"])[0])
    return 0 if length <= _SMALL else min(length, most)


async def _whole_body(
    receive: Receive, headers: Dict[bytes, List[bytes]], most: int
) -> bytes:
    """Return the body. Raises _TooLarge, if possible before it is read."""
    length = headers.get(b"content-length", [b"0"])[0]
    if int(length) > most:
        raise _TooLarge
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _TooLarge
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a function that returns the read body again, then further events."""
    pending = [body]

    async def give() -> Message:
        if pending:
            whole = pending.pop()
            return {"type": "http.request", "body": whole, "more_body": False}
        return await receive()

    return give
