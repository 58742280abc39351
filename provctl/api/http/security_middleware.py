"""Who may ask the API what: checks of every request before any route sees it.

The API runs code, so these are the defence. On TCP a request needs the token, and the
exact name of the host, so that no web page can be made to send it; an Origin is refused
everywhere. What changes something is JSON, bounded, and read strictly.
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
# A whole workflow; it is read by who reads workflow files, as strictly.
_SUBMIT = "/workflows/submit"
_SUBMIT_MAX = 16 << 20
# All bodies at hand that are not small: a submission is there until it is checked.
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
    """An ASGI app around another: lets through what it may see.

    `hosts` maps each door but "unix" to the Host headers that are right there.
    """

    def __init__(
        self, app: App, *, token: Optional[str], hosts: Mapping[str, FrozenSet[bytes]]
    ) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts
        self._room = _BODIES_MAX

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or hand on with the whole body read."""
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
        """Answer, or hand on, with the whole body read: at most so many bytes."""
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
        """Who sends it, and from where."""
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
    """What is asked for, as far as headers and address say it."""
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
    """How many bytes a body may have, by its headers; 0 if they are few."""
    if b"transfer-encoding" in headers:
        return most
    told = int(headers.get(b"content-length", [b"0"])[0])
    return 0 if told <= _SMALL else min(told, most)


async def _whole_body(
    receive: Receive, headers: Dict[bytes, List[bytes]], most: int
) -> bytes:
    """Return the body. Raises _TooLarge, before it is read where it says its size."""
    told = headers.get(b"content-length", [b"0"])[0]
    if int(told) > most:
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
    """Return what gives a body that was read once more, then what else comes."""
    pending = [body]

    async def give() -> Message:
        if pending:
            whole = pending.pop()
            return {"type": "http.request", "body": whole, "more_body": False}
        return await receive()

    return give
