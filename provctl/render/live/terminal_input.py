"""Input from a terminal during a live view.

Typed text is neither shown nor kept. The terminal also answers where its cursor is.
"""

from __future__ import annotations

import os
import re
import select
import termios
import time
from typing import Any, List, NamedTuple, Optional

_LOCAL_MODES, _CHARACTERS = 3, 6  # indexes in the result of `tcgetattr`

# Asked in the last column, so that the answer tells the width of the terminal. The
# terminal may know its width before the system does.
_QUESTION = b"\x1b7\x1b[9999C\x1b[6n\x1b8"
_ANSWER = re.compile(rb"\x1b\[(\d+);(\d+)R")
_LONGEST = 32  # bytes to keep: more than the longest answer
_PATIENCE_S = 1.0  # how long an answer may take, also over a slow connection


class Position(NamedTuple):
    """The answer of a terminal: visible rows above its cursor, and its width."""

    rows_above: int
    width: int


class Keys:
    """Discards text typed at the terminal open as `fd`; None: there is no terminal.

    Keys that send signals (Ctrl-C, Ctrl-Z, Ctrl-\\) still do. In the background nothing
    is changed: the terminal belongs to another job. An answer is waited for until
    `patience_s` after the question.
    """

    def __init__(self, fd: Optional[int], *, patience_s: float = _PATIENCE_S) -> None:
        self._fd = fd
        self._patience_s = patience_s
        self._before: Optional[List[Any]] = None
        self._input: Optional[int] = None
        self._asked_at: Optional[float] = None  # while an answer is outstanding
        self._received = b""

    def hold(self) -> None:
        """Do not show typed text from now on."""
        if self._before is not None or not self._is_ours():
            return
        assert self._fd is not None
        before = termios.tcgetattr(self._fd)
        held = [*before]
        held[_LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
        held[_CHARACTERS] = [*before[_CHARACTERS]]
        held[_CHARACTERS][termios.VMIN] = 1
        held[_CHARACTERS][termios.VTIME] = 0
        termios.tcsetattr(self._fd, termios.TCSANOW, held)
        self._before = before
        self._input = _open_input()

    def release(self) -> None:
        """Discard typed text and restore the terminal.

        Wait for an outstanding answer first: otherwise the next program that reads
        would get it as typed text.
        """
        self.wait()
        before, self._before = self._before, None
        if self._input is not None:
            os.close(self._input)
            self._input = None
        if before is None or not self._is_ours():
            return
        assert self._fd is not None
        termios.tcflush(self._fd, termios.TCIFLUSH)
        termios.tcsetattr(self._fd, termios.TCSANOW, before)

    @property
    def can_ask(self) -> bool:
        """Whether the terminal can be asked: not after a question without answer."""
        return self._input is not None and (self._asked_at is None or self.awaits)

    @property
    def awaits(self) -> bool:
        """Whether an answer is outstanding."""
        return time.monotonic() < self._deadline

    def ask(self) -> None:
        """Ask for the cursor position; no earlier answer may be outstanding."""
        assert self._fd is not None
        self._asked_at, self._received = time.monotonic(), b""
        os.write(self._fd, _QUESTION)

    def position(self) -> Optional[Position]:
        """Return the answer if it has arrived; text typed before it is discarded."""
        return self._receive(time.monotonic())

    def wait(self) -> Optional[Position]:
        """Wait for the answer and return it, if it arrives."""
        return self._receive(self._deadline)

    def _receive(self, deadline: float) -> Optional[Position]:
        while self._asked_at is not None and self._reads(deadline):
            answer = _ANSWER.search(self._received)
            if answer:
                self._asked_at = None
                return Position(int(answer.group(1)) - 1, int(answer.group(2)))
            self._received = self._received[-_LONGEST:]
            if time.monotonic() >= deadline:  # somebody keeps typing
                break
        return None

    @property
    def _deadline(self) -> float:
        return 0.0 if self._asked_at is None else self._asked_at + self._patience_s

    def _reads(self, deadline: float) -> bool:
        """Read more until the deadline; False if nothing came."""
        if self._input is None or not self._is_ours():
            return False
        ready = select.poll()
        ready.register(self._input, select.POLLIN)
        if not ready.poll(max(deadline - time.monotonic(), 0.0) * 1000):
            return False
        try:
            data = os.read(self._input, 4096)
        except BlockingIOError:  # another process was faster
            return True
        except OSError:  # the terminal is gone; the next picture will report it
            return False
        self._received += data
        return bool(data)

    def _is_ours(self) -> bool:
        """Whether the terminal is ours, and we are its foreground job."""
        try:
            return self._fd is not None and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False


def _open_input() -> Optional[int]:
    """Open our terminal again; other processes share the existing descriptor.

    A read must not block because they have read the data first.
    """
    try:
        return os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
