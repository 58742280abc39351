"""How a scheduler reports readiness: to the command that started it, or to a manager.

The protocol of service managers is sd_notify(3): datagrams to the socket in
NOTIFY_SOCKET; a name that begins with @ is in the abstract namespace.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Mapping

from typing_extensions import Protocol

# The messages of a starting scheduler on its readiness pipe.
READY = b"ready\n"
ALREADY = b"already\n"


class Readiness(Protocol):
    """A process that waits for a scheduler."""

    def ready(self) -> None:
        """The scheduler serves."""

    def already(self) -> None:
        """Another scheduler serves."""

    def failed(self, why: str) -> None:
        """The scheduler cannot start."""

    def stopping(self) -> None:
        """The scheduler stops serving and ends."""


class Pipe:
    """The command that started it; a pipe closed without a message means a crash.

    The command may be gone, or have stopped waiting; queued runs do not depend on it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self) -> None:
        """Report that it serves, and that no more messages follow."""
        self._tell(READY)
        os.close(self._fd)

    def already(self) -> None:
        """Report that another scheduler serves."""
        self._tell(ALREADY)

    def failed(self, why: str) -> None:
        """Report why it cannot start."""
        self._tell(why.encode(errors="replace"))

    def _tell(self, words: bytes) -> None:
        with suppress(OSError):
            os.write(self._fd, words)

    def stopping(self) -> None:
        """Nobody listens any more."""


class ServiceManager:
    """Notifies systemd, if the environment names its socket."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """Report that it serves."""
        self._tell("READY=1\nSTATUS=runs workflows")

    def already(self) -> None:
        """Report that another scheduler serves."""
        self._tell("STATUS=another scheduler runs")

    def failed(self, why: str) -> None:
        """Report why it cannot start."""
        self._tell(f"STATUS={why.splitlines()[0] if why else 'failed'}")

    def stopping(self) -> None:
        """Report that it stops."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        # A manager that does not listen must not block the scheduler.
        with suppress(OSError), socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM
        ) as sock:
            sock.sendto(text.encode(), address)
