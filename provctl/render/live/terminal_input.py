"""What comes from a terminal while it is drawn on: what is typed, which is neither
shown nor kept, and where the terminal says that its cursor is.
"""

from __future__ import annotations

import os
import re
import select
import termios
import time
from typing import Any, List, NamedTuple, Optional

_LOCAL_MODES, _CHARACTERS = 3, 6  # places in what `tcgetattr` returns

# In the last column, so that the answer tells how wide the terminal is. It may know
# that before the system does.
_QUESTION = b"\x1b7\x1b[9999C\x1b[6n\x1b8"
_ANSWER = re.compile(rb"\x1b\[(\d+);(\d+)R")
_LONGEST = 32  # bytes of an answer, and more
_PATIENCE_S = 1.0  # so long the answer may take, also from the other side of the world


class Position(NamedTuple):
    """What a terminal says: the rows in sight above its cursor, and its width."""

    rows_above: int
    width: int


class Keys:
    """Holds back what is typed at the terminal that is open as `fd`; None: there is none.

    Keys that send signals (Ctrl-C, Ctrl-Z, Ctrl-\\) still do. In the background
    nothing is changed: there the terminal is another's.
    An answer is waited for until `patience_s` after the question.
    """

    def __init__(self, fd: Optional[int], *, patience_s: float = _PATIENCE_S) -> None:
        self._fd = fd
        self._patience_s = patience_s
        self._before: Optional[List[Any]] = None
        self._input: Optional[int] = None
        self._asked_at: Optional[float] = None  # while there is no answer
        self._heard = b""

    def hold(self) -> None:
        """Let nothing that is typed be shown from now on."""
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
        """Throw away what was typed, and let the terminal be as it was.

        An answer that is still to come is waited for: it would be typed at whoever
        reads next.
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
        """Whether the terminal can be asked; one that did not answer is not again."""
        return self._input is not None and (self._asked_at is None or self.awaits)

    @property
    def awaits(self) -> bool:
        """Whether an answer is still to come."""
        return time.monotonic() < self._deadline

    def ask(self) -> None:
        """Ask where the cursor is; the answer to an earlier question must not be open."""
        assert self._fd is not None
        self._asked_at, self._heard = time.monotonic(), b""
        os.write(self._fd, _QUESTION)

    def position(self) -> Optional[Position]:
        """Return the answer, if it is there; what is typed before is thrown away."""
        return self._hear(time.monotonic())

    def wait(self) -> Optional[Position]:
        """Return the answer, if it comes."""
        return self._hear(self._deadline)

    def _hear(self, deadline: float) -> Optional[Position]:
        while self._asked_at is not None and self._reads(deadline):
            answer = _ANSWER.search(self._heard)
            if answer:
                self._asked_at = None
                return Position(int(answer.group(1)) - 1, int(answer.group(2)))
            self._heard = self._heard[-_LONGEST:]
            if time.monotonic() >= deadline:  # somebody types, and goes on
                break
        return None

    @property
    def _deadline(self) -> float:
        return 0.0 if self._asked_at is None else self._asked_at + self._patience_s

    def _reads(self, deadline: float) -> bool:
        """Read more of what comes until then; False: that was all."""
        if self._input is None or not self._is_ours():
            return False
        ready = select.poll()
        ready.register(self._input, select.POLLIN)
        if not ready.poll(max(deadline - time.monotonic(), 0.0) * 1000):
            return False
        try:
            heard = os.read(self._input, 4096)
        except BlockingIOError:  # another was faster
            return True
        except OSError:  # it is gone, as the next picture will tell
            return False
        self._heard += heard
        return bool(heard)

    def _is_ours(self) -> bool:
        """Whether it is our terminal, and we are in its foreground."""
        try:
            return self._fd is not None and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False


def _open_input() -> Optional[int]:
    """Open our terminal anew: others share the way on which it is open already.

    There a read must not wait for what they may read first.
    """
    try:
        return os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
