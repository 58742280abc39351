"""Owns the life of an attempt: the shim, which supervises one at a time.

Forked by `executors.shims`, its parent, which hands it orders. The order of its
steps keeps the promises:

 1. a file for this attempt, locked until it is over (the lock is the identity)
    and with space for the exit record, which a full disk cannot take away
 2. `link(2)` of that file to `N.K.go`: the fence. Whoever finds it taken runs
    nothing; an owner that recovers may take it first
 3. fsync of the folder: from now on "it never began" is provably false
 4. spawn, in a session of its own; output to a file, never to a pipe
 5. wait; TERM, grace, KILL on timeout (monotonic) or when told: by the parent,
    or when the parent is gone by SIGTERM (with grace) or SIGQUIT (at once)
 6. sweep of every process that outlived the main one (the shim is a subreaper)
 7. the exit record, sealed with its CRC, into `N.K.go`; fsync; unlock

So an attempt has one file, `N.K.go`, that tells everything: missing, it never
began; a symbolic link, it never will; locked, it runs; sealed, it ended; none of
these, its shim died. Beside it are `N.K.log` and, where needed, `N.K.in` and `.out`.

Only the standard library, and little of it: a fork copies each page it touches.
containerd-shim, conmon and s6-supervise are built on the same idea.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import sys
import time
from zlib import crc32

TYPE_CHECKING = False  # `typing` costs a millisecond and memory in every fork
if TYPE_CHECKING:
    import signal
    from typing import Any, Dict, List, Optional, Tuple

    from provctl.executors.channel import Channel
else:
    # The same functions without the enums around them, which cost each fork more
    # copied pages than all else here.
    import _signal as signal

_PR_SET_CHILD_SUBREAPER = 36
_TRIES = 5  # to take the fence on a disk that refuses, a second apart
_RESERVED = 4096  # bytes kept for the exit record
_TOLD = (signal.SIGTERM, signal.SIGQUIT)  # what tells a shim to end its attempt
_WAITED = {signal.SIGCHLD, signal.SIGALRM, *_TOLD}
# Python ignores some of these, and children would inherit that.
_DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT)
# Set in tests: the longest time, in seconds, that a shim dawdles before its fence.
_SLOW_START = float(os.environ.get("PROVCTL_FAILPOINT_SLOW_SHIM_S") or 0)
_NO_FENCE = bool(os.environ.get("PROVCTL_FAILPOINT_NO_FENCE"))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _libc.prctl(option, value, 0, 0, 0)


_libc = ctypes.CDLL(None, use_errno=True)


class _Attempt:
    """One attempt as its shim sees it."""

    def __init__(self, order: Dict[str, Any], channel: Channel) -> None:
        self.order = order
        self.channel = channel
        self.name = order["name"]
        self.folder = order["folder"]
        self.cause = "exit"
        self.level = 0  # 1: TERM was sent, 2: KILL was sent
        self.main = 0
        self.usage: Any = None
        self.survivors = 0

    def path(self, suffix: str) -> str:
        return f"{self.folder}/{self.name}.{suffix}"

    def open(self, suffix: str, flags: int) -> int:
        return os.open(self.path(suffix), flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def wish(self, number: int) -> Optional[bool]:
        """Return what a signal wants: the end at once (True), with grace (False) or
        nothing (None), for it may have been sent for the attempt before this one.
        By itself it counts only when the parent is gone."""
        at_once = None
        while True:
            message = self.channel.take(wait=False)
            if message is None:
                break
            if message.get("stop") == self.order["key"]:
                at_once = at_once or message["now"]
        return number == signal.SIGQUIT if self.channel.closed else at_once

    def stop(self, cause: str, *, now: bool) -> None:
        """One step further on the ladder: TERM, then KILL when the grace is over."""
        if self.level == 0:
            self.cause = cause
        if cause == "stop" and self.level and not now:
            return  # told again: the ladder is already climbed by the timer
        grace = self.order["grace_s"]
        if now or self.level or grace <= 0:
            self.level = 2
            _signal_group(self.main, signal.SIGKILL)
        else:
            self.level = 1
            _signal_group(self.main, signal.SIGTERM)
            signal.setitimer(signal.ITIMER_REAL, grace)
        # A stopped process acts on no signal but KILL until it is continued.
        _signal_group(self.main, signal.SIGCONT)


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        pass


def _supervise(order: Dict[str, Any], channel: Channel) -> None:
    attempt = _Attempt(order, channel)
    if _SLOW_START:
        time.sleep(int.from_bytes(os.urandom(2), "big") / 65536 * _SLOW_START)
    record = attempt.open("new", os.O_RDWR)
    fcntl.flock(record, fcntl.LOCK_EX)
    problem = _reserve(record)
    passed, unsynced = _pass_fence(attempt)
    problem = problem or unsynced
    if passed:
        started, clock = time.time(), time.monotonic()
        status = None
        if not problem:
            status, problem = _run(attempt)
        result = _result(attempt, status, problem)
        result["started_at"] = started
        result["finished_at"] = started + time.monotonic() - clock
        _store(record, result)
    os.close(record)


def _reserve(record: int) -> str:
    """Make room for the exit record, begun with who will write it."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(record, 0, _RESERVED)
        os.write(record, (b"%d\n" % os.getpid()).ljust(_RESERVED, b"\0"))
    except OSError as error:
        return f"no space for its exit record: {error.strerror}"
    return ""


def _pass_fence(attempt: _Attempt) -> Tuple[bool, str]:
    """Return whether the attempt is ours to begin, and why it must not all the same."""
    passed = _link(attempt)
    problem = ""
    try:
        os.unlink(attempt.path("new"))
    except OSError:
        pass  # it stays, and is in nobody's way
    try:
        folder = os.open(attempt.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        problem = f"its start cannot be made durable: {error.strerror}"
    return passed, problem


def _link(attempt: _Attempt) -> bool:
    for left in reversed(range(_TRIES)):
        try:
            os.link(attempt.path("new"), attempt.path("go"))
        except FileExistsError:
            return _NO_FENCE
        except OSError:
            if not left:
                raise  # the owner finds that it never began
            time.sleep(1)
        else:
            break
    return True


def _run(attempt: _Attempt) -> Tuple[Optional[int], str]:
    """Return the wait status of the main process, or why there is none."""
    order = attempt.order
    what = order["cwd"]
    try:
        if order.get("input") is not None:
            source = attempt.open("in", os.O_WRONLY | os.O_TRUNC)
            os.write(source, order["input"].encode())
            os.close(source)
        log = attempt.open("log", os.O_WRONLY | os.O_APPEND)
        os.chdir(what)
        what = order["argv"][0]
        attempt.main = _spawn(order, log)
    except (OSError, ValueError) as error:  # such as a NUL in an argument
        why = getattr(error, "strerror", None) or error
        return None, f"cannot start {what}: {why}"
    os.close(log)
    _drop_late_alarm()
    if order["timeout_s"]:
        signal.setitimer(signal.ITIMER_REAL, order["timeout_s"])
    status = _wait(attempt)
    _sweep(attempt)
    return status, ""


def _drop_late_alarm() -> None:
    """An alarm may have come just as the attempt before this one ended."""
    if signal.SIGALRM in signal.sigpending():
        signal.sigwait({signal.SIGALRM})


def _spawn(order: Dict[str, Any], log: int) -> int:
    """Start the task in a session of its own. Raises OSError.

    posix_spawn, for it copies no page of this process; a fork here would cost as
    much as all the rest of the shim.
    """
    argv, env = order["argv"], order["env"]
    return os.posix_spawn(
        _program(argv[0], env.get("PATH", os.defpath)),
        argv,
        env,
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ),
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULTED,
    )


def _program(name: str, path: str) -> str:
    """What a shell would run for `name`; itself when nothing is found."""
    if "/" not in name:
        for folder in path.split(":"):
            candidate = f"{folder}/{name}"
            if folder and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
                return candidate
    return name


def _wait(attempt: _Attempt) -> int:
    """Reap until the main process ended, and walk the ladder when told to."""
    while True:
        number = signal.sigwait(_WAITED)
        if number == signal.SIGALRM:
            attempt.stop("timeout", now=False)
        elif number in _TOLD:
            at_once = attempt.wish(number)
            if at_once is not None:
                attempt.stop("stop", now=at_once)
        status = _reap(attempt)
        if status is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return status


def _reap(attempt: _Attempt) -> Optional[int]:
    """Reap all that ended; return the main process's status if it is among them."""
    main_status = None
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return main_status
        if pid == 0:
            return main_status
        if pid == attempt.main:
            main_status = status
            attempt.usage = usage


def _sweep(attempt: _Attempt) -> None:
    """End what outlived the main process: TERM, grace, KILL, until none is left."""
    left = _descendants()
    if not left:
        return
    attempt.survivors = len(left)
    number = signal.SIGKILL if attempt.level == 2 else signal.SIGTERM
    deadline = time.monotonic() + attempt.order["grace_s"]
    while left:
        for pid in left:
            try:
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        heard = signal.sigwait(_WAITED)
        if heard in _TOLD and attempt.wish(heard):
            number = signal.SIGKILL
        _reap(attempt)
        left = _descendants()
        if time.monotonic() >= deadline:
            number = signal.SIGKILL
    signal.setitimer(signal.ITIMER_REAL, 0)


def _descendants() -> List[int]:
    """All processes below this one; Linux only, where the shim is a subreaper."""
    found: List[int] = []
    pending = [os.getpid()]
    while pending:
        pid = pending.pop()
        try:
            with open(f"/proc/{pid}/task/{pid}/children", "rb", 0) as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            continue
        found += children
        pending += children
    return found


def _result(attempt: _Attempt, status: Optional[int], problem: str) -> Dict[str, Any]:
    result: Dict[str, Any] = {
        "v": 1,
        "cause": attempt.cause,
        "problem": problem,
        "survivors": attempt.survivors,
    }
    if status is not None:
        result["status"] = status
        if os.WIFSIGNALED(status):
            result["signal"] = os.WTERMSIG(status)
        else:
            result["exit_code"] = os.WEXITSTATUS(status)
    if attempt.usage is not None:
        unit = 1 if sys.platform == "darwin" else 1024
        result["cpu_s"] = round(attempt.usage.ru_utime + attempt.usage.ru_stime, 6)
        result["max_rss_bytes"] = attempt.usage.ru_maxrss * unit
    if attempt.order.get("output_max") and not problem:
        _add_output(attempt, result)
    return result


def _add_output(attempt: _Attempt, result: Dict[str, Any]) -> None:
    """Move what the task returned from its file into the record."""
    most = attempt.order["output_max"]
    try:
        fd = os.open(attempt.path("out"), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    with open(fd, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        result["problem"] = f"its output is larger than {most} bytes"
    else:
        result["output"] = data.decode("utf-8", "replace")
    os.unlink(attempt.path("out"))


def _store(record: int, result: Dict[str, Any]) -> None:
    """Make the exit record durable. Tries for ever: nobody else knows the status."""
    while True:
        try:
            body = json.dumps(result, separators=(",", ":"))[:-1].encode("ascii")
            data = body + b',"crc":"%08x"}\n' % crc32(body)
            written = os.pwrite(record, data, 0)
            while written < len(data):
                written += os.pwrite(record, data[written:], written)
            os.ftruncate(record, len(data))
            os.fsync(record)
        except OSError:
            # The reserved bytes hold a record without output.
            if result.pop("output", None) is not None:
                result["problem"] = "the disk was full: its output is lost"
            time.sleep(1)
        else:
            return


def serve(channel: Channel) -> None:
    """Take attempts from the parent, one at a time, until it is gone."""
    os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    while not channel.closed:
        order = channel.take(wait=True)
        if order is not None and "stop" not in order:
            _supervise(order, channel)
            channel.done(order["key"])
