"""Owns a picture as a job of a shell: stopped or ended, it gives the terminal back."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provctl.ui.live import LiveView

__all__ = ["Job"]

_ENDED = 143  # as shells have it of a SIGTERM


class Job:
    """Ctrl-Z leaves the picture as it is and goes on below; SIGTERM ends the watch.

    Whoever owns a run heeds SIGTERM itself, and gets its handler in place of this.
    """

    def __init__(self, drawing: LiveView) -> None:
        self._view = drawing

    def heed_signals(self) -> None:
        """Take the signals, as far as they are not ignored."""
        for number, heed in ((signal.SIGTERM, _end), (signal.SIGTSTP, self._stop)):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, heed)

    def _stop(self, _number: int, _frame: Any) -> None:
        self._view.suspend()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._view.resume()


def _end(_number: int, _frame: Any) -> None:
    sys.exit(_ENDED)
