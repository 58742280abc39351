"""The parent of shims: gives each order to an idle shim, or forks one.

Run by `executors.local.executor` as a process of its own. It reads messages, one a
line, from a socket: kind, attempt and a JSON object for its shim, with tabs between.
`launch` starts an attempt; `signal` is for the shim that has it: stop, kill, freeze or
thaw. Each shim writes the end of its attempt into the owner's pipe; the parent does it
for a shim that died. When the socket closes the parent ends, and each shim once the attempt it has
is over; tasks never notice. A fork costs a tenth of a Python start, a shim that waits
already costs nothing.
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

_IDLE_MAX = 64  # shims kept without work while there is some; 1.7 MB each
_IDLE_KEPT = 4  # of them after a while without any news
# Set in tests: how long no news is a while, in milliseconds.
_IDLE_MS = int(os.environ.get("PROVCTL_FAILPOINT_IDLE_SHIM_MS") or 10_000)
_TRY_AGAIN_MS = 1000
_REAP_MS = 50


class ShimHandle:
    """A shim as its parent sees it. `key` names its attempt, "" for idle."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.key = ""


class ShimPool:
    """Gives each order to a shim, and says which attempts are over."""

    def __init__(self, owner: socket.socket, news: int) -> None:
        self._owner = owner
        self._news = news
        self._poll = select.poll()
        self._shims: Dict[int, ShimHandle] = {}
        self._idle: List[ShimHandle] = []
        # Orders no shim could be had for yet, by key, with what was said of them.
        self._waiting: Dict[str, bytes] = {}
        self._ending: Dict[int, str] = {}  # shims that exit, and what they had
        self._unread = b""

    def serve(self) -> None:
        """Work until the owner closes its end."""
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
        """How long nothing has to happen until there is something to do all the same."""
        if self._ending:
            return _REAP_MS
        if self._waiting:
            return _TRY_AGAIN_MS
        return _IDLE_MS if len(self._idle) > _IDLE_KEPT else None

    def _end_idle(self) -> None:
        """Give back the memory of shims that nobody has needed for a while."""
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
        """Give waiting orders to shims, as far as there are any to be had."""
        while self._waiting:
            try:
                child = self._idle.pop() if self._idle else self._fork()
            except OSError as problem:
                if is_resource_exhaustion(problem):
                    self._give_back(describe(problem, "a supervisor"))
                return  # else later
            child.key = next(iter(self._waiting))
            try:
                child.channel.sendall(self._waiting.pop(child.key) + b"\n")
            except OSError:
                continue  # it died idle; `_hear` says so, and the owner looks

    def _give_back(self, shortage: str) -> None:
        """Report orders that no shim has and none ever will."""
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
                # No descriptor of the parent's may stay open here: the end of
                # another shim's channel is its news that the parent is gone.
                first, second = sorted((theirs.fileno(), self._news))
                os.closerange(3, first)
                os.closerange(first + 1, second)
                os.closerange(second + 1, 65536)
                # Whoever reads what the owner prints does not wait for tasks.
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
                    return  # it died: `_hear` tells the owner

    def _hear(self, child: ShimHandle) -> None:
        """The shim is done and has said so, or it is dead."""
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
        """Let a shim exit, by the end of its channel, and reap it then."""
        self._poll.unregister(child.channel)
        del self._shims[child.channel.fileno()]
        child.channel.close()
        self._ending[child.pid] = key

    def _reap(self) -> None:
        """Reap what exits, without waiting: to have watched a log takes it 16 ms.

        A shim that died is only reported now, when its lock is certainly free.
        """
        for pid in list(self._ending):
            if os.waitpid(pid, os.WNOHANG)[0]:
                key = self._ending.pop(pid)
                if key:
                    notify_owner(self._news, key)


def main() -> None:
    """Serve orders; the last two arguments are the descriptors of socket and pipe."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    # Ignored, as it may be inherited, there would be no exit codes.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    owner, news = (int(argument) for argument in sys.argv[-2:])
    os.set_inheritable(news, False)  # no task may keep the owner's pipe open
    parent = ShimPool(socket.socket(fileno=owner), news)
    gc.collect()
    gc.freeze()
    gc.disable()
    parent.serve()
