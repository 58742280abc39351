"""Lines over two descriptors, without blocking; lines read together arrive together."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Callable, List, Mapping

from provctl.executors.remote.messages import (
    LINE_MAX,
    Message,
    ProtocolMismatch,
    decode,
    encode,
    split_lines,
)

_AT_ONCE = 1 << 18  # bytes read or written by one call


class LineChannel:
    """Sends and receives messages in the running event loop.

    `on_messages` gets the messages that were read together. `on_end` is called once
    with the reason of the end, "" if the other side closed the channel. With `skips`,
    any text may precede the first message, such as what shells print when they start.
    """

    def __init__(
        self,
        fds: tuple[int, int],
        on_messages: Callable[[List[Message]], None],
        on_end: Callable[[str], None],
        *,
        skips: int = 0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._input, self._output = fds
        self._on_messages = on_messages
        self._on_end = on_end
        self._skips = skips
        self._unread = b""
        self._unsent = bytearray()
        self._writes = False
        self.closed = False
        for fd in set(fds):
            os.set_blocking(fd, False)
        self._loop.add_reader(self._input, self._on_readable)

    @property
    def backlog(self) -> int:
        """Return how many bytes are unsent."""
        return len(self._unsent)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, together with the others of this turn of the loop."""
        if self.closed:
            return
        if not self._unsent and not self._writes:
            self._loop.call_soon(self._flush)
        self._unsent += encode(message)

    def close(self) -> None:
        """Send what can be sent without blocking, and close both descriptors."""
        if self.closed:
            return
        self._flush()
        self._shut()

    def _shut(self) -> None:
        self.closed = True
        self._loop.remove_reader(self._input)
        self._loop.remove_writer(self._output)
        for fd in {self._input, self._output}:
            os.close(fd)

    def _fail(self, why: str) -> None:
        if not self.closed:
            self._shut()
            self._on_end(why)

    def _flush(self) -> None:
        if self.closed:
            return
        try:
            while self._unsent:
                del self._unsent[: os.write(self._output, self._unsent[:_AT_ONCE])]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # the reader reports the reason
        self._wait_to_write(bool(self._unsent))

    def _wait_to_write(self, waits: bool) -> None:
        if waits and not self._writes:
            self._loop.add_writer(self._output, self._flush)
        elif self._writes and not waits:
            self._loop.remove_writer(self._output)
        self._writes = waits

    def _on_readable(self) -> None:
        try:
            data = os.read(self._input, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError as problem:
            self._fail(problem.strerror or str(problem))
            return
        if not data:
            self._fail("")
            return
        *lines, self._unread = split_lines(self._unread, data)
        try:
            messages = self._messages(lines)
        except ProtocolMismatch as problem:
            self._fail(problem.message)
            return
        if messages:
            self._on_messages(messages)

    def _messages(self, lines: List[bytes]) -> List[Message]:
        messages = []
        for line in lines:
            try:
                messages.append(decode(line))
                self._skips = 0
            except ProtocolMismatch:
                self._skips -= len(line) + 1
                if self._skips <= 0:
                    raise
        if len(self._unread) > LINE_MAX:
            message = f"a line of more than {LINE_MAX} bytes"
            raise ProtocolMismatch(message)
        return messages
