"""Hanging up so that the last answer arrives: RFC 9112, section 9.6.

Who is refused may still be sending. Were the connection closed at once, what it sends
would be answered with a reset: it could send no more, and might never read why. So only
our half is closed, and what comes is thrown away for a while.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle, Transport


SILENT_S = 2.0  # without a byte, after which nothing more is expected
LONGEST_S = 30.0
MOST = 64 << 20  # bytes; four times the largest body


class LingeringTransport:
    """A transport around another, whose `close` waits for the other side's.

    It does so where `unread()` says that a request was not read to its end. What
    comes from then on is told to `drain`, and the end of all to `over`.
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
        self._heard = False
        self._alarm: Optional[TimerHandle] = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def is_lingering(self) -> bool:
        """Whether nothing is said any more, and what comes is thrown away."""
        return self._alarm is not None

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self.is_lingering or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send; nothing after `close`."""
        if not self.is_lingering:
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, then the end; and hang up when that can do no harm."""
        if self.is_closing() or not self._unread():
            self._transport.close()
            return
        self._until = self._loop.time() + LONGEST_S
        self._alarm = self._loop.call_later(SILENT_S, self._ring)
        with suppress(OSError):  # the other side has hung up
            self._transport.write_eof()
        self._transport.resume_reading()  # a body may have been too fast

    def discard(self, size: int) -> None:
        """Throw away so many bytes, within reason."""
        self._heard = True
        self._left -= size
        if self._left < 0:
            self._transport.close()

    def closed(self) -> None:
        """The connection is no more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        if self._heard and self._loop.time() < self._until:
            self._heard = False
            self._alarm = self._loop.call_later(SILENT_S, self._ring)
        else:
            self._transport.close()
