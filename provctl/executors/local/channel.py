"""The lines of a shim: orders from its parent, news to the owner.

Like all that a fork copies, it imports little (see `executors.local.shim`).
"""

from __future__ import annotations

import json
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional


_LINE_MAX = 4000  # bytes; every system's pipe takes so much in one piece


def notify_owner(
    pipe: int, key: str, shortage: str = "", exit_record: bytes = b""
) -> None:
    """Write into the owner's pipe that an attempt has ended.

    One line, in one piece: the attempt, why it never started if a resource is
    exhausted, and the exit record where it fits. The owner reads a longer one from its
    file.
    """
    line = f"{key}\t{shortage}".encode("utf-8", "replace").replace(b"\n", b" ")
    line = line[:_LINE_MAX] + b"\t"
    if len(line) + len(exit_record) <= _LINE_MAX:
        line += exit_record.rstrip(b"\n")
    try:
        os.write(pipe, line + b"\n")
    except OSError:
        pass  # the owner is gone; the next one reads the records


class Channel:
    """The shim's end of its line to the parent: one JSON object a line.

    `news` is the owner's pipe.
    """

    def __init__(self, sock: socket.socket, news: int) -> None:
        self.sock = sock
        self.news = news
        self.closed = False
        self._lines: List[bytes] = []
        self._unread = b""

    def receive(self, *, wait: bool) -> Optional[Dict[str, Any]]:
        """Return the next message; None if there is none, or if the parent has exited."""
        while not self._lines and not self.closed:
            try:
                flags = 0 if wait else socket.MSG_DONTWAIT
                data = self.sock.recv(1 << 18, flags)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            self.closed = not data
            *self._lines, self._unread = (self._unread + data).split(b"\n")
        return json.loads(self._lines.pop(0)) if self._lines else None

    def report_done(
        self, key: str, shortage: str, exit_record: bytes, *, more: bool
    ) -> None:
        """Report the end of the attempt to its owner, and a free shim to the parent.

        The latter only if it takes `more`. With a `shortage` the attempt never started.
        The owner first, and not through the parent: a slot is empty until it knows.
        """
        notify_owner(self.news, key, shortage, exit_record)
        if not more:
            return
        try:
            self.sock.sendall(b".")
        except OSError:
            self.closed = True
