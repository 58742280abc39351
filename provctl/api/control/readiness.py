"""How a scheduler says that it can be reached: to who started it, or a manager.

The protocol of service managers is sd_notify(3): datagrams to the socket that
NOTIFY_SOCKET names; a name that begins with @ is in the abstract namespace.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Mapping

from typing_extensions import Protocol

# What a starting scheduler says on its readiness pipe.
READY = b"ready\n"
ALREADY = b"already\n"


class Readiness(Protocol):
    """Whoever waits for a scheduler."""

    def ready(self) -> None:
        """It can be reached."""

    def already(self) -> None:
        """Another one can be reached."""

    def failed(self, why: str) -> None:
        """It cannot start."""

    def stopping(self) -> None:
        """It can be reached no more, and ends."""


class Pipe:
    """The command that started it; a pipe closed without a word means a crash.

    That command may be gone, or have waited long enough: who is queued still waits.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self) -> None:
        """Say so, and that nothing else will come."""
        self._tell(READY)
        os.close(self._fd)

    def already(self) -> None:
        """Say so."""
        self._tell(ALREADY)

    def failed(self, why: str) -> None:
        """Say why."""
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
        """Say so."""
        self._tell("READY=1\nSTATUS=runs workflows")

    def already(self) -> None:
        """Say so."""
        self._tell("STATUS=another scheduler runs")

    def failed(self, why: str) -> None:
        """Say why."""
        self._tell(f"STATUS={why.splitlines()[0] if why else 'failed'}")

    def stopping(self) -> None:
        """Say so."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        # A manager that does not listen must not keep us from our work.
        with suppress(OSError), socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM
        ) as sock:
            sock.sendto(text.encode(), address)
