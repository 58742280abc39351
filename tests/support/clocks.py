"""A wall clock that tests can set, for processes that are started with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.tools import need

if TYPE_CHECKING:
    from tests.support.installed import Provctl

__all__ = ["SetClock"]

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class SetClock:
    """A wall clock that can be set, for processes started with `env`."""

    def __init__(self, provctl: Provctl) -> None:
        need("libfaketime")
        self._file = provctl.folder / "clock"
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Set the clock so many seconds ahead of the real time."""
        beside = self._file.with_name("clock-new")
        beside.write_text(f"{seconds:+d}\n")
        beside.replace(self._file)
