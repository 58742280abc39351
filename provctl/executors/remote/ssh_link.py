"""One connection to a node: the user's ssh client, and messages over its streams."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Sequence

from provctl.executors.remote.line_channel import LineChannel

if TYPE_CHECKING:
    from provctl.executors.remote.messages import Message

_GREETING_MAX = 1 << 16  # bytes that a shell may print before the first message
_ERRORS_MAX = 4096  # maximum bytes of stderr that are kept


class SshLink:
    """Starts a command and exchanges messages with the agent. For the event loop.

    `on_end` is called once with the reason when the connection has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_messages: Callable[[List[Message]], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._errors = b""
        ours, theirs = socket.socketpair()
        heard, says = os.pipe()
        try:
            # A session of its own: Ctrl-C at the terminal must reach only the owner.
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                list(command),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=says,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            os.close(heard)
            raise
        finally:
            theirs.close()
            os.close(says)
        self._stderr = heard
        os.set_blocking(heard, False)
        self._loop.add_reader(heard, self._on_stderr)
        fd = ours.detach()
        self._channel = LineChannel(
            (fd, fd), on_messages, self._on_channel_end, skips=_GREETING_MAX
        )

    @property
    def pid(self) -> int:
        """The pid of the ssh client."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self._channel.send(message)

    def close(self) -> None:
        """Close the connection; call `wait` to wait for its end."""
        self._channel.close()

    def wait(self, *, within_s: float) -> None:
        """Wait until the client exits; kill it if that takes too long."""
        self._end_process(within_s)

    def drop(self) -> None:
        """Give up an unresponsive connection at once."""
        self.close()
        self._end_process(0.0)

    def _end_process(self, within_s: float) -> None:
        if self._stderr >= 0:
            self._on_stderr()
        if self._stderr >= 0:
            self._loop.remove_reader(self._stderr)
            os.close(self._stderr)
            self._stderr = -1
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _on_stderr(self) -> None:
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._stderr, _ERRORS_MAX)
            if not data:
                self._loop.remove_reader(self._stderr)
                os.close(self._stderr)
                self._stderr = -1
        self._errors = (self._errors + data)[-_ERRORS_MAX:]

    def _on_channel_end(self, why: str) -> None:
        # It has closed its output and is about to print the rest and exit.
        self._loop.call_later(0.1, self._report_end, why)

    def _report_end(self, why: str) -> None:
        self._end_process(0.0)
        lines = self._errors.decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        code = self._process.returncode
        reason = why or (said[-1] if said else f"ssh ended with exit code {code}")
        self._on_end(reason[:300])
