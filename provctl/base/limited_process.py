"""Runs programs for their output, with limits on their resources."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Callable, Mapping, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.errors import MissingTool


@light_dataclass
class ProcessLimits:
    """The limits of a process.

    Seconds of wall time and of CPU, bytes of address space and of its JSON output.
    """

    wall_s: float = 30.0
    cpu_s: int = 30
    memory_bytes: int = 1 << 30
    output_bytes: int = 16 << 20


@light_dataclass
class Exit:
    """The output of a process, its status as in `subprocess`, and if it timed out."""

    out: bytes
    err: bytes
    code: int
    late: bool = False


def run_with_limits(
    command: Sequence[str],
    request: bytes,
    limits: ProcessLimits,
    *,
    env: Optional[Mapping[str, str]] = None,
    on_start: Callable[[subprocess.Popen[bytes]], object] = lambda _process: None,
) -> Exit:
    """Run a program with a request on stdin, and kill it at its timeout.

    It sets the other limits itself. `on_start` gets the process. Raises OSError if it
    cannot be started.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
    ) as process:
        on_start(process)
        late = False
        try:
            out, err = process.communicate(request, timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            late = True
            kill(process)
            out, err = process.communicate()
        except BaseException:
            kill(process)
            raise
    return Exit(out, err, process.returncode, late)


def output_of(command: Sequence[str], *, timeout_s: float, hint: str) -> str:
    """Return the stdout of a program without surrounding spaces.

    Raises MissingTool with `hint` if it cannot be run, fails, or takes too long.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=timeout_s,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        message = f"cannot run {command[0]}: {problem}"
        raise MissingTool(message, hint=hint) from problem
    return done.stdout.decode(errors="replace").strip()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and the programs that it may have started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def limit_reached(ended: Exit, limits: ProcessLimits, *, died_of: int) -> str:
    """Return in words which limit ended the process, if one did.

    It is recognised by the signal, or by the last output.
    """
    if ended.late:
        return f"exceeded the time limit of {limits.wall_s:g} s"
    if died_of in (signal.SIGXCPU, signal.SIGKILL):
        return f"exceeded the CPU limit of {limits.cpu_s} s"
    if died_of == signal.SIGSEGV or b"overflowed its stack" in ended.err:
        return "is nested too deeply"
    if died_of == signal.SIGABRT or b"MemoryError" in ended.err:
        size = limits.memory_bytes >> 20
        return f"exceeded the memory limit of {size} MiB"
    return ""
