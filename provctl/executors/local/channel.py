"""The messages of a shim: launch specs from its parent, reports to the owner.

Imports little, like everything that a fork copies (see `executors.local.shim`).
"""

from __future__ import annotations

import json
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional


_LINE_MAX = 4000  # bytes; every system writes this much to a pipe atomically


def notify_owner(
    pipe: int, key: str, shortage: str = "", exit_record: bytes = b""
) -> None:
    """Write to the owner's pipe that an attempt has ended.

    Writes one line, atomically: the attempt, the reason if a shortage prevented its
    start, and the exit record if it fits. A longer record is read from its file by the
    owner.
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
    """The shim's end of the socket to its parent: one JSON object per line.

    `news` is the owner's pipe.
    """

    def __init__(self, sock: socket.socket, news: int) -> None:
        self.sock = sock
        self.news = news
        self.closed = False
        self._lines: List[bytes] = []
        self._unread = b""

    def receive(self, *, wait: bool) -> Optional[Dict[str, Any]]:
        """Return the next message; None if there is none or the parent has exited."""
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

        The shim is free only with `more`. With a `shortage`, the attempt never started.
        The owner comes first and directly, not through the parent, because it leaves
        the slot unused until it has the report.
        """
        notify_owner(self.news, key, shortage, exit_record)
        if not more:
            return
        try:
            self.sock.sendall(b".")
        except OSError:
            self.closed = True
