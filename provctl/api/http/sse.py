"""The stream of server-sent events: frames, heartbeats, slow readers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Awaitable, Callable, MutableMapping, Set

from starlette.responses import Response

if TYPE_CHECKING:
    from provctl.api.http.backend import EventSource

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


_HEARTBEAT_S = 15.0
# A reader that reads nothing for so long is dropped; it can resume later.
_SLOW_S = 20.0
_BEAT = b": still here\n\n"


class EventStream(Response):
    """Sends the frames of a stream until it ends or the reader is gone or stalls."""

    media_type = "text/event-stream"

    def __init__(self, feed: EventSource) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._feed = feed

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send the response to one request."""
        gone = asyncio.ensure_future(_until_gone(receive))
        start = {"type": "http.response.start", "status": 200}
        try:
            await send({**start, "headers": self.raw_headers})
            await send(_part(b": hello\n\n"))
            while not gone.done():
                frames = await self._next(gone)
                if frames is None:
                    await send(_part(b"", is_last=True))
                    return
                await asyncio.wait_for(send(_part(frames or _BEAT)), _SLOW_S)
        except asyncio.TimeoutError:
            scope["state"]["connection"].abort()
            await gone
        finally:
            gone.cancel()
            self._feed.close()

    async def _next(self, gone: asyncio.Future[None]) -> Any:
        """The next frames; empty if the reader has disconnected, None at the end."""
        reading = asyncio.ensure_future(self._feed.read(_HEARTBEAT_S))
        both: Set[asyncio.Future[Any]] = {gone, reading}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            return b""
        frames = reading.result()
        return None if frames is None else b"".join(frames)


def _part(body: bytes, *, is_last: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": not is_last}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
