"""Job control of the live view: it restores the terminal when stopped or killed."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterator, Optional

if TYPE_CHECKING:
    from provctl.render.live.view import LiveView


_ENDED = 143  # the exit code of shells after SIGTERM


class JobControl:
    """Ctrl-Z keeps the picture and continues below it; SIGTERM stops watching.

    Nothing is drawn while in the background, where it would overwrite the shell.
    `terminal` is the file descriptor that is drawn on.

    Ctrl-\\ and SIGHUP kill it, but not without giving the terminal back. Whoever owns
    a run heeds SIGTERM and SIGHUP itself, and gets its handlers in place of these.
    """

    def __init__(self, drawing: LiveView, terminal: int) -> None:
        self._view = drawing
        self._terminal = terminal
        self._away = False
        self._draws = False
        self._held: Optional[int] = None

    def handle_signals(self) -> None:
        """Handle the signals that are not ignored."""
        for number, heed in (
            (signal.SIGTERM, _end),
            (signal.SIGHUP, self._on_signal),
            (signal.SIGTSTP, self._on_signal),
            (signal.SIGQUIT, self._on_signal),
        ):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, heed)

    def in_background(self) -> bool:
        """Return whether another job has the terminal; release it, or take it again."""
        away = _in_background(self._terminal)
        if away != self._away:
            self._away = away
            with self.drawing():
                (self._view.suspend if away else self._view.resume)()
        return away

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Delay output of signal handlers while something is being written."""
        self._draws = True
        try:
            yield
        finally:
            self._draws = False
            held, self._held = self._held, None
            if held is not None:
                self._leave(held)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._draws:
            self._held = number
        else:
            self._leave(number)

    def _leave(self, number: int) -> None:
        """Release the terminal; after SIGCONT the next update checks who has it."""
        self._view.suspend()
        if number == signal.SIGTSTP:
            self._away = True
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _end(_number: int, _frame: Any) -> None:
    sys.exit(_ENDED)


def _in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # no job control here
        return False
