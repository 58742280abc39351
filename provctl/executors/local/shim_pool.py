"""The parent of the shims: gives each launch spec to an idle shim, or forks one.

`executors.local.executor` runs it as a process of its own. It reads messages from a
socket, one per line: kind, attempt and a JSON object for the shim, separated by tabs.
`launch` starts an attempt. `signal` is a request to the shim of a running attempt:
stop, kill, freeze or thaw. Each shim reports the end of its attempt to the owner's
pipe; the parent does so for a shim that died. When the socket closes, the parent exits,
and each shim exits after its attempt. Tasks are not affected. A fork costs a tenth of
the start of a Python process; an idle shim is ready at no cost.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys

from provctl.base.resource_exhaustion import describe, is_resource_exhaustion
from provctl.executors.local import shim
from provctl.executors.local.channel import Channel, notify_owner

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    import signal
    from typing import Dict, List, Optional
else:
    import _signal as signal

_IDLE_MAX = 64  # most idle shims while there is work; 1.7 MB each
_IDLE_KEPT = 4  # most idle shims after a period without messages
# Set in tests: the length of that period, in milliseconds.
_IDLE_MS = int(os.environ.get("PROVCTL_FAILPOINT_IDLE_SHIM_MS") or 10_000)
_TRY_AGAIN_MS = 1000
_REAP_MS = 50


class ShimHandle:
    """A shim, as its parent sees it. `key` names its attempt; "" means idle."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.key = ""


class ShimPool:
    """Gives each launch spec to a shim, and reports which attempts are over."""

    def __init__(self, owner: socket.socket, news: int) -> None:
        self._owner = owner
        self._news = news
        self._poll = select.poll()
        self._shims: Dict[int, ShimHandle] = {}
        self._idle: List[ShimHandle] = []
        # Launch specs without a shim so far, by key, followed by requests for them.
        self._waiting: Dict[str, bytes] = {}
        self._ending: Dict[int, str] = {}  # exiting shims, and their attempts
        self._unread = b""

    def serve(self) -> None:
        """Serve until the owner closes its end of the socket."""
        self._poll.register(self._owner, select.POLLIN)
        while True:
            events = self._poll.poll(self._wait_ms())
            if not events and not self._ending and not self._waiting:
                self._end_idle()
            for fd, _ in events:
                if fd != self._owner.fileno():
                    self._hear(self._shims[fd])
                elif not self._take_orders():
                    return
            self._hand_out()
            self._reap()

    def _wait_ms(self) -> Optional[int]:
        """Return the longest wait until work is due even without a message."""
        if self._ending:
            return _REAP_MS
        if self._waiting:
            return _TRY_AGAIN_MS
        return _IDLE_MS if len(self._idle) > _IDLE_KEPT else None

    def _end_idle(self) -> None:
        """End idle shims that were not needed for a while, to free their memory."""
        while len(self._idle) > _IDLE_KEPT:
            self._end(self._idle.pop(0), "")

    def _take_orders(self) -> bool:
        data = self._owner.recv(1 << 18)
        if not data:
            return False
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            kind, key, message = line.split(b"\t", 2)
            if kind == b"launch":
                self._waiting[key.decode()] = message
            else:
                self._pass_on(key.decode(), message)
        return True

    def _hand_out(self) -> None:
        """Give waiting launch specs to shims, as far as shims are available."""
        while self._waiting:
            try:
                child = self._idle.pop() if self._idle else self._fork()
            except OSError as problem:
                if is_resource_exhaustion(problem):
                    self._give_back(describe(problem, "a supervisor"))
                return  # otherwise retry later
            child.key = next(iter(self._waiting))
            try:
                child.channel.sendall(self._waiting.pop(child.key) + b"\n")
            except OSError:
                continue  # it died idle; `_hear` reports that, and the owner checks

    def _give_back(self, shortage: str) -> None:
        """Report launch specs that no shim has and none ever will."""
        for key in self._waiting:
            notify_owner(self._news, key, shortage)
        self._waiting.clear()

    def _fork(self) -> ShimHandle:
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            code = 1
            try:
                # No descriptor of the parent may stay open here: a shim notices that
                # the parent is gone when its channel closes.
                first, second = sorted((theirs.fileno(), self._news))
                os.closerange(3, first)
                os.closerange(first + 1, second)
                os.closerange(second + 1, 65536)
                # A reader of the owner's output must not have to wait for tasks.
                os.dup2(0, 1)
                os.dup2(0, 2)
                shim.serve(Channel(theirs, self._news))
                code = 0
            finally:
                os._exit(code)
        theirs.close()
        child = ShimHandle(pid, ours)
        self._shims[ours.fileno()] = child
        self._poll.register(ours, select.POLLIN)
        return child

    def _pass_on(self, key: str, line: bytes) -> None:
        if key in self._waiting:
            self._waiting[key] += b"\n" + line
        for child in self._shims.values():
            if child.key == key:
                try:
                    child.channel.sendall(line + b"\n")
                except OSError:
                    return  # it died: `_hear` reports it to the owner

    def _hear(self, child: ShimHandle) -> None:
        """Handle a shim that reported that it is free, or that died."""
        try:
            alive = child.channel.recv(1)
        except OSError:
            alive = b""
        key, child.key = child.key, ""
        if alive and len(self._idle) < _IDLE_MAX:
            self._idle.append(child)
            return
        if child in self._idle:
            self._idle.remove(child)
        self._end(child, "" if alive else key)

    def _end(self, child: ShimHandle, key: str) -> None:
        """Close a shim's channel, so that it exits, and reap it later."""
        self._poll.unregister(child.channel)
        del self._shims[child.channel.fileno()]
        child.channel.close()
        self._ending[child.pid] = key

    def _reap(self) -> None:
        """Reap exiting shims without waiting: one that watched a log takes 16 ms.

        Reports a shim that died only now, when its lock is certainly released.
        """
        for pid in list(self._ending):
            if os.waitpid(pid, os.WNOHANG)[0]:
                key = self._ending.pop(pid)
                if key:
                    notify_owner(self._news, key)


def main() -> None:
    """Serve launch specs; the last two arguments are descriptors: socket and pipe."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    # If SIGCHLD is ignored, which may be inherited, there are no exit codes.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    owner, news = (int(argument) for argument in sys.argv[-2:])
    os.set_inheritable(news, False)  # a task must not keep the owner's pipe open
    parent = ShimPool(socket.socket(fileno=owner), news)
    gc.collect()
    gc.freeze()
    gc.disable()
    parent.serve()
