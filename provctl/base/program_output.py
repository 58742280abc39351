"""Programs that are run for what they print, in a thread: another one may end them.

They read nothing, have no terminal, and a limit on their time and on what they print.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Mapping, Optional, Sequence

from provctl.base.limited_process import Exit, ProcessLimits, kill

if TYPE_CHECKING:
    from typing import Dict

_LOOK_S = 0.02  # where a process has no descriptor that tells of its end
_REAP_S = 1.0  # then a process that was killed hangs in the kernel, or is not ours
_ERROR_BYTES = 4096  # of stderr, its end
_CHUNK = 1 << 16
_DRAINED = 32  # chunks, more than a pipe takes


class RunningProgram:
    """A program that one thread waits for and another one may kill."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._killed = False

    def started(self, process: subprocess.Popen[bytes]) -> None:
        """Note what runs; it is killed at once if that was wanted before."""
        with self._lock:
            self._process = process
            if self._killed:
                _kill(process)

    def exit_code(self) -> Optional[int]:
        """Return its status if it has ended."""
        with self._lock:  # else its number may be another's when it is killed
            return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """Kill it and what it started, now or as soon as it has begun."""
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.returncode is None:
                _kill(self._process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(PermissionError):  # sudo and others are not ours to kill
        kill(process)


def read_output(
    command: Sequence[str],
    limits: ProcessLimits,
    program: RunningProgram,
    *,
    env: Mapping[str, str],
    cwd: str,
) -> Exit:
    """Run a program to its end and return what it printed until then.

    It is killed when its time is over, or when it has printed more than
    `output_bytes` on stdout. What it leaves running is not waited for, even if that has its
    stdout. Raises OSError if it cannot be started.
    """
    deadline = time.monotonic() + limits.wall_s
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    program.started(process)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr, _Pipes(process) as pipes:
        code, late = None, False
        while code is None:
            left = deadline - time.monotonic()
            late = left <= 0
            if late or len(pipes.out) > limits.output_bytes:
                program.kill()
                code = _reap(program)
                break
            pipes.read(left)
            code = program.exit_code()
        else:
            pipes.drain()
    return Exit(bytes(pipes.out), bytes(pipes.err), code, late)


def _reap(program: RunningProgram) -> int:
    """Wait for what was killed, but not for ever."""
    until = time.monotonic() + _REAP_S
    code = program.exit_code()
    while code is None and time.monotonic() < until:
        time.sleep(_LOOK_S)
        code = program.exit_code()
    return -9 if code is None else code


class _Pipes:
    """What a process prints, as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.out, self.err = bytearray(), bytearray()
        self._into: Dict[int, bytearray] = {
            process.stdout.fileno(): self.out,
            process.stderr.fileno(): self.err,
        }
        self._selector = selectors.DefaultSelector()
        for fd in self._into:
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ)
        self._end = _end_of(process.pid)
        if self._end is not None:
            self._selector.register(self._end, selectors.EVENT_READ)

    def __enter__(self) -> _Pipes:
        return self

    def __exit__(self, *_error: object) -> None:
        self._selector.close()
        if self._end is not None:
            os.close(self._end)

    def read(self, wait_s: float) -> None:
        """Wait for something to read, or for the end of the process."""
        if self._end is None:
            wait_s = min(wait_s, _LOOK_S)
        for key, _ in self._selector.select(wait_s):
            if key.fd != self._end:
                self._read_once(key.fd)

    def drain(self) -> None:
        """Read what is left; who else has the pipe may go on to write, without end."""
        for fd in list(self._into):
            for _ in range(_DRAINED):
                if not self._read_once(fd):
                    break

    def _read_once(self, fd: int) -> bool:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(fd)
            del self._into[fd]
            return False
        into = self._into[fd]
        into += data
        if into is self.err:
            del into[:-_ERROR_BYTES]
        return True


def _end_of(pid: int) -> Optional[int]:
    """A descriptor that can be read when the process has ended; None: there is none."""
    pidfd_open = getattr(os, "pidfd_open", None)  # Linux, from Python 3.9 on
    if pidfd_open is None:
        return None
    with suppress(OSError):
        fd: int = pidfd_open(pid)
        return fd
    return None
