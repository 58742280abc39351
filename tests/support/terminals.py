"""Real terminals for tests: a program at a pty, its keys and its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from codecs import getincrementaldecoder
from typing import (
    TYPE_CHECKING,
    Callable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
)

from tests.support.attempts import PATIENCE_S
from tests.support.screens import Screen

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["QUESTION", "Terminal"]

_SEQUENCE = re.compile(r"\x1b(\[[?\d;]*[A-Za-z]|[78])")
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
QUESTION = "\x1b[6n"
_SIZE = (40, 110)  # rows, columns


class Terminal:
    """A program at its own terminal; a context manager that kills it.

    It answers when asked for the cursor position, unless `mute`; then answers are kept.
    """

    mute = False

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        cwd: Path,
        size: Tuple[int, int] = _SIZE,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.raw = ""
        self._drawn_to = 0  # of `raw`
        self._drawn = Screen()
        self.resize(*size)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=dict(environ),
            cwd=str(cwd),
            start_new_session=True,
            preexec_fn=_own_the_terminal,
        )
        os.close(theirs)
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def resize(self, rows: int, columns: int) -> None:
        """Change the size."""
        drawn = self._draw()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)
        drawn.height, drawn.width = rows, columns

    def press(self, keys: str) -> None:
        """Type something; "\\x03" is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def hang_up(self) -> None:
        """Disappear, as when a window is closed or ssh drops: SIGHUP, then only EIO."""
        os.close(self._ours)
        self._ours = -1

    def read_until(self, text: str, *, within_s: float = PATIENCE_S) -> None:
        """Read the output until it contains `text`."""
        deadline = time.monotonic() + within_s
        while text not in self.plain:
            assert self._read(deadline), f"no {text!r} in: {self.raw}"

    def read_some(self, *, within_s: float) -> None:
        """Read what arrives within a time, if anything does."""
        self._read(time.monotonic() + within_s)

    def read_more(self, deadline: float) -> None:
        """Read what arrives next, before a deadline of `time.monotonic`."""
        assert self._read(deadline), f"nothing more came: {self.raw}"

    def wait(self, *, within_s: float = PATIENCE_S) -> int:
        """Read the rest of the output, and return the exit code."""
        deadline = time.monotonic() + within_s
        while self._read(deadline):
            assert time.monotonic() < deadline, f"it goes on: {self.raw}"
        return self.process.wait(timeout=60)

    @property
    def plain(self) -> str:
        """The whole output without colours."""
        return _COLOURS.sub("", self.raw)

    @property
    def screen(self) -> str:
        """The screen so far, including lines that scrolled away."""
        return self._draw().text

    @property
    def cursor_shown(self) -> bool:
        """Whether the program shows the cursor again."""
        return self._draw().cursor_shown

    def watch(
        self, until: Callable[[str], bool], *, within_s: float = PATIENCE_S
    ) -> List[str]:
        """Read until the screen is as wanted; return all screens on the way."""
        deadline = time.monotonic() + within_s
        seen = [self.screen]
        while not until(seen[-1]):
            assert self._read(deadline), f"not so, but: {self.screen}"
            seen.append(self.screen)
        return seen

    def _read(self, deadline: float) -> bool:
        """Read more; False at the end, or after a timeout."""
        wait = max(0.0, deadline - time.monotonic())
        if not select.select([self._ours], [], [], wait)[0]:
            return False
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:  # how Linux tells that nobody has the other end any more
            return False
        text = self._decoder.decode(data)
        self.raw += text
        # It may come in two pieces.
        new = self.raw[-len(text) - len(QUESTION) + 1 :]
        if QUESTION in new and not self.mute:
            for answer in self.answers():
                self.press(answer)
        return bool(data)

    def answers(self) -> List[str]:
        """The answers to questions that it has not sent yet."""
        drawn = self._draw()
        answers, drawn.answers = drawn.answers, []
        return answers

    def _draw(self) -> Screen:
        """Draw new output when a test looks at it: shells print unknown sequences."""
        text = self.raw[self._drawn_to :]
        # A sequence may come in two pieces.
        before, mark, rest = text.rpartition("\x1b")
        if mark and not _SEQUENCE.match(mark + rest):
            text = before
        self._drawn_to += len(text)
        self._drawn.write(_COLOURS.sub("", text))
        return self._drawn

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)


def _own_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
