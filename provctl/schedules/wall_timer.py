"""A timer for a wall-clock time; it survives clock changes and a suspend.

Timers of the event loop count only seconds in which the machine is awake. Linux has
timers (timerfd_create(2)) that follow the wall clock and report when it is set, so no
polling is needed.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from typing import Callable, Optional

from provctl.scheduler.clock import WallClock

_CLOCK_REALTIME = 0
_ABSOLUTE_AND_CANCELLED_BY_SETTING = 0b11
# Where there is no such timer, the clock is read at this interval in seconds.
_LOOK_S = 60.0


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class WallClockTimer:
    """Calls `ring` at a time, or earlier: the callback must check the clock.

    Create it inside a running loop.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._clock = WallClock()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._fd = _timer() if sys.platform == "linux" else -1
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    def set(self, at: Optional[float]) -> None:
        """Set the time in seconds since the epoch; None: no time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd >= 0 and _set(self._fd, at):
            return
        if at is not None:
            wait = min(_LOOK_S, max(0.0, at - self._clock.now()))
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def close(self) -> None:
        """Close the timer."""
        self.set(None)
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError:
            pass  # ECANCELED: the clock was set
        self._ring()


def _timer() -> int:
    flags = os.O_NONBLOCK | os.O_CLOEXEC  # the same numbers as TFD_NONBLOCK, ...
    try:
        made: int = ctypes.CDLL(None).timerfd_create(_CLOCK_REALTIME, flags)
    except (OSError, AttributeError):
        return -1
    return made


def _set(fd: int, at: Optional[float]) -> bool:
    # All zero would stop the timer; a past time fires at once.
    nanoseconds = 0 if at is None else max(1, int(at * 1e9))
    value = _Timespec(*divmod(nanoseconds, 10**9))
    setting = ctypes.byref(_Setting(_Timespec(0, 0), value))
    flags = _ABSOLUTE_AND_CANCELLED_BY_SETTING
    done: int = ctypes.CDLL(None).timerfd_settime(fd, flags, setting, None)
    return done == 0
