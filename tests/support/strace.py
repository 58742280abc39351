"""strace in tests: the system calls of a process, and changes of their results.

`when=` counts the calls of one name in one process, and a kill happens before the call
has an effect. Only the process itself is changed, not its children.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import pytest

from tests.support.attempts import PATIENCE_S, alive, wait_until
from tests.support.tools import need

__all__ = [
    "CHANGING",
    "TRACING",
    "Point",
    "attached",
    "calls_in",
    "failing",
    "has_injected",
    "killing",
    "need_strace",
    "points_of",
    "under",
]

# The calls that change what others can see: files, names, locks, messages, processes.
CHANGING = (
    "bind",
    "chmod",
    "clone",
    "clone3",
    "connect",
    "fallocate",
    "fchmod",
    "fdatasync",
    "flock",
    "fork",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "listen",
    "mkdir",
    "mkdirat",
    "openat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendmsg",
    "sendto",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "vfork",
    "write",
)
# Options to have them written down, each with the file it is about.
TRACING = ("-y", "-e", "trace=" + ",".join(f"?{call}" for call in CHANGING))
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_WRITABLE = ("O_WRONLY", "O_RDWR", "O_CREAT")


@dataclass(frozen=True)
class Point:
    """A system call: the `when`-th of its name; `what` it was when traced."""

    call: str
    when: int
    what: str

    def __str__(self) -> str:
        return f"{self.call} {self.when}: {self.what}"


@lru_cache(maxsize=None)
def _problem() -> str:
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, text=True
    )
    return f"strace may not trace here: {tried.stderr}" if tried.returncode else ""


def need_strace() -> None:
    """Skip the test with the reason if nothing can be traced here."""
    need("strace")
    problem = _problem()
    if problem:
        pytest.skip(problem)


def killing(point: Point) -> Tuple[str, ...]:
    """Options that kill the process at a call."""
    return _injecting(point.call, f"signal=KILL:when={point.when}")


def failing(point: Point, how: str) -> Tuple[str, ...]:
    """Options that give a call no effect, and the result `how` instead.

    `how` is in strace's words, such as "error=EIO" or "retval=0".
    """
    return _injecting(point.call, f"{how}:when={point.when}")


def _injecting(call: str, what: str) -> Tuple[str, ...]:
    return ("-y", "-e", f"trace={call}", "-e", f"inject={call}:{what}")


def under(log: Path, options: Sequence[str]) -> List[str]:
    """Return the prefix of a command that starts it under strace."""
    return ["strace", "-o", str(log), *options, "--"]


@contextmanager
def attached(pid: int, log: Path, options: Sequence[str]) -> Iterator[None]:
    """Attach strace to a running process, up to its end if it ends."""
    command = ["strace", "-o", str(log), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            wait_until(lambda: _is_traced(pid), "strace is attached")
            yield
        finally:
            if alive(pid):
                strace.terminate()
            # Of a dead one it has yet to write down how it died, and ends by itself.
            strace.communicate(timeout=PATIENCE_S)


def points_of(log: Path, *, below: str = "") -> List[Point]:
    """Return the calls in a trace that change something, if they name a file `below`.

    A file that is only opened for reading changes nothing.
    """
    counts = dict.fromkeys(CHANGING, 0)
    found = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None or match[1] not in counts:
            continue
        call, rest = match[1], match[2]
        counts[call] += 1
        if call == "openat" and not any(flag in rest for flag in _WRITABLE):
            continue
        if "/slots/" in rest and "O_WRONLY" in rest:
            continue  # it only wakes those who wait, and writes nothing
        if "/dev/null" not in rest and below in rest:
            found.append(Point(call, counts[call], f"{call}({rest}"))
    return found


def calls_in(log: Path) -> List[str]:
    """The lines of a trace of several threads, each call where it returned.

    strace splits a call when another thread calls in between.
    """
    begun: Dict[str, str] = {}
    whole = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith(" <unfinished ...>"):
            begun[thread] = call[: -len(" <unfinished ...>")]
            continue
        rest = re.sub(r"^<\.\.\. \w+ resumed>", "", call)
        whole.append(begun.pop(thread, "") + rest if rest != call else call)
    return whole


def has_injected(log: Path) -> bool:
    """Whether strace made the requested change."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "(INJECTED)" in text or "+++ killed by SIGKILL +++" in text


def _is_traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return not re.search(r"^TracerPid:\t0$", status, re.MULTILINE)
