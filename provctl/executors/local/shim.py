"""The shim: supervises one attempt at a time, from its start to its exit record.

`executors.local.shim_pool`, its parent, forks it and sends it launch specs. The order
of the steps ensures the guarantees:

0. Lock the slots and pool units of the attempt, in addition to the owner's locks.
   If the owner is gone already, start nothing.
1. Create a file for this attempt and keep it locked until the attempt is over: the
   lock identifies the attempt. Reserve space in it for the exit record, so that a
   full disk cannot prevent the record.
2. `link(2)` that file to `N.K.go`: the fence. A shim that finds the fence taken
   starts nothing. A recovering owner may take the fence first.
3. fsync the folder. From now on it is provably false that the attempt never started.
4. Spawn the task in a session of its own. Its output goes to a file, never to a
   pipe.
5. Wait. Keep the log within its limit. On timeout (monotonic) or on a stop request:
   TERM, grace time, KILL. Freeze and thaw on request. Requests come from the parent,
   or, when the parent is gone, as signals (`_WISHES`).
6. Kill all processes that outlived the main one (the shim is a subreaper), unless
   the launch spec forbids it and no stop request came.
7. Write the exit record, sealed with its CRC, to `N.K.go`; fsync; release all locks.

So the single file `N.K.go` shows the state of an attempt. Missing: it never started. A
symbolic link: it never will. Locked: it is running. Sealed: it ended. None of these:
its shim died. Beside it are `N.K.log` and, where needed, `N.K.in` and `N.K.out`.

Imports only the standard library, and little of it: a fork copies every page it
touches. containerd-shim, conmon and s6-supervise are based on the same idea.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource  # `os.wait4` would import it, perhaps too late to open its file
import time

from provctl.base.resource_exhaustion import describe, is_resource_exhaustion
from provctl.base.safe_open import open_own
from provctl.executors.local import exit_record, process_tree, slots
from provctl.executors.local.fence import pass_fence
from provctl.executors.local.log_writer import LogLimiter
from provctl.executors.local.syscalls import (
    FileWatch,
    OomScore,
    become_reaper,
    signal_when_readable,
)

TYPE_CHECKING = False  # importing `typing` costs each fork 1 ms and memory
if TYPE_CHECKING:
    import signal
    from typing import Any, Dict, List, Optional, Set, Tuple

    from provctl.executors.local.channel import Channel
else:
    # The same functions without the enums. The enums cost each fork more copied pages
    # than everything else here.
    import _signal as signal

# The signals that a shim without a parent obeys, and the request each one stands for.
_WISHES: Dict[int, str] = {
    signal.SIGTERM: "stop",
    signal.SIGQUIT: "kill",
    signal.SIGUSR1: "freeze",
    signal.SIGUSR2: "thaw",
}
# SIGIO: the parent sent a message, or the log was written to.
_WAITED = {signal.SIGCHLD, signal.SIGALRM, signal.SIGIO, *_WISHES}
# Python ignores some of these, and children would inherit that.
_DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT)

_NEVER = float("inf")
_AT_LEAST_S = 0.0001  # a timer of 0 would never fire
_SWEEP_AGAIN_S = 0.05
_GIVE_UP_S = 5.0  # after KILL: a process that is still alive hangs in the kernel

# Set in tests: the longest delay before the fence, in seconds.
_SLOW_START = float(os.environ.get("PROVCTL_FAILPOINT_SLOW_SHIM_S") or 0)
_NO_SWEEP = bool(os.environ.get("PROVCTL_FAILPOINT_NO_SWEEP"))


class _Attempt:
    """One attempt, as its shim sees it. Times are those of the monotonic clock."""

    def __init__(
        self, order: Dict[str, Any], channel: Channel, watch: FileWatch, oom: OomScore
    ) -> None:
        self.order = order
        self.channel = channel
        self.watch = watch
        self.oom = oom
        self.forms: List[bytes] = [
            form.encode("utf-8", "surrogatepass") for form in order.get("masked", ())
        ]
        self.record = -1
        self.cause = "exit"
        self.level = 0  # 1: TERM was sent, 2: KILL was sent
        self.main = 0  # the pid of the main process, 0 once it is reaped
        self.usage: Any = None
        self.survivors = 0
        self.stuck = 0
        self.kept = False
        self.shortage = False  # a shortage prevented the start; not the task's fault
        self.log: Optional[LogLimiter] = None
        self.timeout_at = self.kill_at = _NEVER
        self._alarm_at = _NEVER
        self._stopped: List[int] = []  # stopped by this shim; may be empty while frozen
        self._left_s: Optional[float] = None  # time until the timeout; not None: frozen

    def path(self, suffix: str) -> str:
        return f"{self.order['folder']}/{self.order['name']}.{suffix}"

    def open(self, suffix: str, flags: int) -> int:
        return open_own(self.path(suffix), flags | os.O_CREAT)

    def remove(self, suffix: str) -> None:
        try:
            os.unlink(self.path(suffix))
        except OSError:
            pass  # a leftover file does no harm

    def refuse(self, error: Exception, doing: str, what: str) -> str:
        """Return why the attempt cannot start; record if a shortage is the reason."""
        if isinstance(error, OSError) and is_resource_exhaustion(error):
            self.shortage = True
            return describe(error, what)
        why = getattr(error, "strerror", None) or error
        return f"cannot {doing} {what}: {why}"

    def begin(self) -> None:
        """Start the timeout of the task, which was just spawned."""
        now = time.monotonic()
        if self.order["timeout_s"]:
            self.timeout_at = now + self.order["timeout_s"]
        most = self.order.get("log_max", 0)
        if most or self.forms:
            self.log = LogLimiter(self.path("log"), most, self.forms, self.watch, now)
        # Signals that came before the launch spec do not count.
        self._on_signal(0, now)

    def live(self, until: float = _NEVER) -> None:
        """Sleep until an event or a due time, at most until `until`, and handle it."""
        look_at = self.log.look_at if self.log else _NEVER
        due = min(until, self.timeout_at, self.kill_at, look_at)
        if due != self._alarm_at:
            # An extra alarm, such as one left over from the last attempt, does no harm.
            wait = 0 if due == _NEVER else max(due - time.monotonic(), _AT_LEAST_S)
            signal.setitimer(signal.ITIMER_REAL, wait)
            self._alarm_at = due
        number = signal.sigwait(_WAITED)
        now = time.monotonic()
        if number == signal.SIGALRM:
            self._alarm_at = _NEVER
        elif number != signal.SIGCHLD:
            self._on_signal(number, now)
        if now >= self.timeout_at:
            self.end("timeout")
        if now >= self.kill_at:
            self.kill()
        if self.log and now >= self.log.look_at:
            self.log.check(now)

    def _on_signal(self, number: int, now: float) -> None:
        """Obey the parent's messages, and the signal itself only without a parent."""
        if self.log:
            self.log.wake(now)
        while True:
            message = self.channel.receive(wait=False)
            if message is None:
                break
            if message.get("tell") == self.order["key"]:
                self._obey(message["what"])
        if self.channel.closed and number in _WISHES:
            self._obey(_WISHES[number])

    def _obey(self, wish: str) -> None:
        if wish == "stop":
            self.end("stop")
        elif wish == "kill":
            self.end("stop", at_once=True)
        elif wish == "freeze":
            self._freeze()
        elif wish == "thaw":
            self._thaw()

    def end(self, cause: str, *, at_once: bool = False) -> None:
        """Stop the task: TERM, then KILL after grace time. The first cause counts."""
        first = self.level == 0
        if first:
            self.cause = cause
            self.timeout_at = _NEVER
        if at_once or self.order["grace_s"] <= 0:
            self.kill()
        elif first:
            self.level = 1
            self.kill_at = time.monotonic() + self.order["grace_s"]
            self._signal_main(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the task without grace time."""
        self.level = 2
        self.kill_at = _NEVER
        self._signal_main(signal.SIGKILL)

    def leave(self) -> None:
        """Resume the processes that the task left running, and let them live."""
        self._thaw()
        self.kept = bool(process_tree.running())

    def _signal_main(self, number: int) -> None:
        if self.main:
            for each in (number, signal.SIGCONT):
                # A stopped process handles no signal but KILL until it is continued.
                try:
                    os.killpg(self.main, each)
                except (ProcessLookupError, PermissionError):
                    continue
        self._thaw()

    def _freeze(self) -> None:
        if self.level:
            return  # it is being stopped
        if self._left_s is None:
            self._left_s = self.timeout_at - time.monotonic()
            self.timeout_at = _NEVER
        self._stopped += process_tree.stop_all()
        exit_record.note_frozen(self.record, frozen=True)

    def _thaw(self) -> None:
        if self._left_s is None:
            return
        if not self.level:
            self.timeout_at = time.monotonic() + self._left_s
        self._left_s = None
        process_tree.continue_all(self._stopped)
        self._stopped.clear()
        exit_record.note_frozen(self.record, frozen=False)


def _supervise(attempt: _Attempt) -> Tuple[bool, str, bytes]:
    """Run one attempt; return whether no process of it is left below this process.

    Also return which resource was exhausted, if the attempt did not reach the fence,
    and its exit record, if it has one.
    """
    held = slots.hold(attempt.order.get("taken", ()))
    if held is None:
        return True, "", b""
    if _SLOW_START:
        time.sleep(int.from_bytes(os.urandom(2), "big") / 65536 * _SLOW_START)
    shortage, sealed = "", b""
    try:
        passed, problem = _pass(attempt)
    except OSError as error:
        if not is_resource_exhaustion(error):
            raise
        shortage = describe(error, attempt.path("new"))
        passed, problem = False, ""
        attempt.remove("new")
    if passed:
        started, clock = time.time(), time.monotonic()
        status = None
        if not problem:
            status, problem = _run(attempt)
        result = _result(attempt, status, problem)
        result["started_at"] = started
        result["finished_at"] = started + time.monotonic() - clock
        sealed = exit_record.store(attempt.record, result)
    slots.release(held)
    if attempt.record >= 0:
        os.close(attempt.record)
    return not attempt.stuck and not attempt.kept, shortage, sealed


def _pass(attempt: _Attempt) -> Tuple[bool, str]:
    """Pass the fence; return whether that worked, and what still forbids the start.

    Raises OSError if the attempt did not reach the fence.
    """
    new, go, problem = attempt.path("new"), attempt.path("go"), ""
    attempt.record = attempt.open("new", os.O_RDWR)
    fcntl.flock(attempt.record, fcntl.LOCK_EX)
    try:
        exit_record.reserve(attempt.record)
    except OSError as error:
        if is_resource_exhaustion(error):
            raise
        problem = attempt.refuse(error, "create", f"its exit record in {new}")
    passed, unsynced = pass_fence(new, go)
    if unsynced is not None:
        problem = attempt.refuse(unsynced, "sync", f"its start record in {go}")
    return passed, problem


def _run(attempt: _Attempt) -> Tuple[Optional[int], str]:
    """Return the wait status of the main process, or why there is none."""
    order = attempt.order
    doing, what = "write", attempt.path("in")
    try:
        if order.get("input") is not None:
            _write_input(attempt, order["input"].encode())
        what = attempt.path("log")
        log = attempt.open("log", os.O_WRONLY | os.O_APPEND)
        try:
            os.set_blocking(log, True)  # as every program expects of its output
            doing, what = "start", order["cwd"]
            os.chdir(what)
            what = order["argv"][0]
            attempt.main = _spawn(order, log, attempt.oom)
        finally:
            os.close(log)
    except (OSError, ValueError) as error:  # such as a NUL in an argument
        return None, attempt.refuse(error, doing, what)
    attempt.begin()
    status = None
    while status is None:
        attempt.live()
        status = _reap(attempt)
    if order.get("keep_processes") and not attempt.level:
        attempt.leave()
    elif not _NO_SWEEP:
        _sweep(attempt)
    if attempt.log:
        attempt.log.finish()
    return status, ""


def _write_input(attempt: _Attempt, given: bytes) -> None:
    """Write all of the input: half a script would be a different script."""
    source = attempt.open("in", os.O_WRONLY | os.O_TRUNC)
    try:
        while given:
            given = given[os.write(source, given) :]
    finally:
        os.close(source)


def _spawn(order: Dict[str, Any], log: int, oom: OomScore) -> int:
    """Spawn the task in a session of its own. Raises OSError.

    Uses posix_spawn because it copies no page of this process. A fork here would cost
    as much as the rest of the shim.
    """
    argv, env = order["argv"], order["env"]
    cores = resource.getrlimit(resource.RLIMIT_CORE)
    if order.get("masked"):
        # A core dump would contain the secrets. posix_spawn has no option for this
        # limit.
        resource.setrlimit(resource.RLIMIT_CORE, (0, cores[1]))
    oom.be_of_task()
    try:
        return _posix_spawn(argv, env, log)
    finally:
        oom.be_own()
        if order.get("masked"):
            resource.setrlimit(resource.RLIMIT_CORE, cores)


def _posix_spawn(argv: List[str], env: Dict[str, str], log: int) -> int:
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
    """Return the program that a shell would run for `name`. Raises FileNotFoundError.

    As in a shell, a file that happens to be in the task's folder does not count.
    """
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = f"{folder}/{name}"
        if folder and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(errno.ENOENT, "no such program on PATH")


def _reap(attempt: _Attempt) -> Optional[int]:
    """Reap all children that ended; return the main process's status if it did."""
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
            attempt.main = 0


def _sweep(attempt: _Attempt) -> None:
    """Stop what outlived the main process: TERM, grace time, KILL until all ended."""
    left = process_tree.descendants()
    if not left:
        return
    attempt.survivors = len(left)
    attempt.timeout_at = _NEVER
    if attempt.level < 2:
        attempt.level = 1
        attempt.kill_at = time.monotonic() + attempt.order["grace_s"]
    signalled: Set[int] = set()
    give_up_at = _NEVER
    while left:
        if attempt.level == 2:
            # Stop them first: a stopped process cannot fork faster than it is killed.
            process_tree.stop_all()
            left = process_tree.descendants()
            process_tree.signal_all(signal.SIGKILL, left)
            give_up_at = min(give_up_at, time.monotonic() + _GIVE_UP_S)
        else:
            process_tree.signal_all(
                signal.SIGTERM, [pid for pid in left if pid not in signalled]
            )
            process_tree.signal_all(signal.SIGCONT, left)
            signalled.update(left)
        attempt.live(time.monotonic() + _SWEEP_AGAIN_S)
        _reap(attempt)
        left = process_tree.descendants()
        if time.monotonic() >= give_up_at:
            attempt.stuck = len(process_tree.running())
            return


def _result(attempt: _Attempt, status: Optional[int], problem: str) -> Dict[str, Any]:
    result: Dict[str, Any] = {
        "v": 1,
        "id": attempt.order["key"],
        "cause": attempt.cause,
        "problem": problem,
        "survivors": attempt.survivors,
    }
    if attempt.shortage:
        result["shortage"] = True
    if attempt.stuck:
        result["stuck"] = attempt.stuck
    if attempt.log and attempt.log.dropped:
        result["log_dropped_bytes"] = attempt.log.dropped
    if status is not None:
        exit_record.add_status(result, status, attempt.usage)
    most = attempt.order.get("output_max")
    if most and not problem:
        exit_record.add_output(result, attempt.path("out"), most, attempt.forms)
    if problem and attempt.forms:
        exit_record.redact_problem(result, attempt.forms)
    return result


def serve(channel: Channel) -> None:
    """Run attempts for the parent, one at a time, until the parent is gone."""
    os.setsid()
    become_reaper()
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    signal_when_readable(channel.sock.fileno())
    watch, oom = FileWatch(), OomScore()
    clean = True
    while clean and not channel.closed:
        order = channel.receive(wait=True)
        if order is not None and "tell" not in order:
            attempt = _Attempt(order, channel, watch, oom)
            clean, shortage, sealed = _supervise(attempt)
            # A surviving process remains a child of this shim: it takes no other task.
            channel.report_done(order["key"], shortage, sealed, more=clean)
