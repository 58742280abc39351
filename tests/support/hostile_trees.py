"""Process trees that resist their end: random, repeatable by their seed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from random import Random

__all__ = ["HostileTree"]

_DEPTH = 3
# How a child is begun; {} is the program with its one argument.
_WAYS = (
    "{} &",
    "setsid {} &",
    "setsid -f {}",
    "env -i {} &",
    "env -i setsid {} <&- >&- 2>&- &",
    "( ( {} & ) & )",  # forked twice: its parent is gone at once
    "nohup {} >/dev/null 2>&1 &",
    "{} & kill -STOP $!",
)
_NU = "nu -n --no-std-lib -c 'job spawn {{ ^{} }}; sleep 1day' &"
_ENDS = ("exit 0", "wait", "exec sleep 4321.{}", "kill -STOP $$")


class HostileTree:
    """A tree of scripts below `folder`; a number in their names marks its processes."""

    def __init__(self, dice: Random, folder: Path) -> None:
        self.cookie = f"{dice.randrange(10**8, 10**9)}"
        self._dice = dice
        self._folder = folder / self.cookie
        self._folder.mkdir()
        self._count = 0
        self.root = self._script(0)

    def _script(self, depth: int) -> Path:
        self._count += 1
        path = self._folder / f"{self._count}.sh"
        dice = self._dice
        lines = ["trap '' TERM HUP INT"] if dice.random() < 0.3 else []
        for _ in range(dice.randint(1, 2) if depth < _DEPTH else 0):
            way = _NU if dice.random() < 0.1 else dice.choice(_WAYS)
            lines.append(way.format(f"sh {self._script(depth + 1)}"))
        if depth == 0:
            lines += ["sleep 0.05", "echo ready"]
            end = dice.choice(("exit 0", "wait", "exec sleep 4321.{}"))
        elif depth == _DEPTH:
            end = "exec sleep 4321.{}"
        else:
            end = dice.choice(_ENDS)
        path.write_text("\n".join([*lines, end.format(self.cookie), ""]))
        return path

    def survivors(self) -> List[int]:
        """Its processes that still run, however they hide their environment."""
        sign = self.cookie.encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if sign in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def kill(self) -> None:
        """Kill all survivors."""
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
