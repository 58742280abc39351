"""Closes a connection so that the last response arrives: RFC 9112, section 9.6.

A refused client may still be sending. If the connection were closed at once, its data
would be answered with a reset: it could send no more, and might never read the reason.
So only our half is closed, and arriving data is discarded for a while.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle, Transport


SILENT_S = 2.0  # without a byte; after that nothing more is expected
LONGEST_S = 30.0
MOST = 64 << 20  # bytes; four times the largest body


class LingeringTransport:
    """A transport around another one, whose `close` waits for the other side.

    It waits if `unread()` says that a request was not read completely. Data that
    arrives after that is passed to `drain`, and the end to `over`.
    """

    def __init__(
        self,
        transport: Transport,
        loop: AbstractEventLoop,
        unread: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._unread = unread
        self._left = MOST
        self._until = 0.0
        self._received = False
        self._alarm: Optional[TimerHandle] = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def is_lingering(self) -> bool:
        """Whether our half is closed, and arriving data is discarded."""
        return self._alarm is not None

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self.is_lingering or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send data; nothing after `close`."""
        if not self.is_lingering:
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, then the end; close when that is safe."""
        if self.is_closing() or not self._unread():
            self._transport.close()
            return
        self._until = self._loop.time() + LONGEST_S
        self._alarm = self._loop.call_later(SILENT_S, self._ring)
        with suppress(OSError):  # the other side has disconnected
            self._transport.write_eof()
        self._transport.resume_reading()  # it may be paused because of a large body

    def discard(self, size: int) -> None:
        """Discard so many bytes, up to a limit."""
        self._received = True
        self._left -= size
        if self._left < 0:
            self._transport.close()

    def closed(self) -> None:
        """The connection is closed."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        if self._received and self._loop.time() < self._until:
            self._received = False
            self._alarm = self._loop.call_later(SILENT_S, self._ring)
        else:
            self._transport.close()
