"""Enforces the size limit of a log and redacts secrets while it is written.

The task writes to a file, never to a pipe, so provctl never blocks it. The shim checks
the file shortly after the start, then while it grows. It does not check the log of a
quiet task: `syscalls.FileWatch` reports the next write. Excess bytes are cut out of the
middle, in place: writers append (O_APPEND), so their next line follows whatever is
left. The processes of the attempt are suspended during the cut, so that every lost byte
is counted.
"""

from __future__ import annotations

import os

from provctl.base import redact
from provctl.base.safe_open import open_own
from provctl.executors.local import process_tree

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    from typing import List

    from provctl.executors.local.syscalls import FileWatch


# The line in place of omitted bytes. Readers search for it.
MARKER = b"--- provctl: %d bytes of this log were left out here ---\n"
UNFINISHED = MARKER.replace(b"-", b"~")  # during the cut
_MARKER_MAX = 96
_LEAST = 1024  # bytes; a smaller log would be all marker

_NEVER = float("inf")
_FIRST_S = 0.05  # most tasks are over by then, and cost nothing
_GROWS_S = 0.2
_GROWS_FAST_S = 0.02
_UNWATCHED_S = 1.0  # interval where files cannot be watched

_BLOCK = 1 << 18
_LINE_MAX = 1 << 16  # maximum distance of the search for the end of a line


class LogLimiter:
    """Keeps one log within `most` bytes (0: unlimited) and free of `forms`.

    While the task runs, the log may exceed the limit by a quarter. Otherwise half of
    the log would be copied for every line of a task that writes little at a time.
    """

    def __init__(
        self, path: str, most: int, forms: List[bytes], watch: FileWatch, now: float
    ) -> None:
        self.dropped = 0
        self.look_at = now + _FIRST_S
        self._path = path
        self._most = max(most, _LEAST) if most else 0
        self._forms = forms
        self._owner_client = max(map(len, forms)) - 1 if forms else 0
        self._watch = watch
        self._fd = -1
        self._size = 0  # at the last check
        self._covered = 0  # everything before it is redacted and final
        self._head = 0  # where the marker begins, once there is one
        self._marker = b""

    def wake(self, now: float) -> None:
        """Handle a SIGIO: check at once if the log was written to."""
        if self._watch.fired():
            self.look_at = now

    def check(self, now: float) -> None:
        """Do what is due, and decide when to check again."""
        try:
            grown = self._tidy(self._most + self._most // 4)
            if grown:
                fast = self._most and grown > self._most // 4
                self.look_at = now + (_GROWS_FAST_S if fast else _GROWS_S)
            elif not self._watch.arm(self._path):
                self.look_at = now + _UNWATCHED_S
            elif os.stat(self._path).st_size == self._size:
                self.look_at = _NEVER
            else:  # it was written to before the watch began
                self.look_at = now + _GROWS_S
        except OSError:
            self.look_at = now + _UNWATCHED_S

    def finish(self) -> None:
        """Finish the log after the last write."""
        self._watch.disarm()
        try:
            self._tidy(self._most)
        except OSError:
            if self._forms:
                self._drop_uncovered()
        if self._fd >= 0:
            os.close(self._fd)

    def _tidy(self, limit: int) -> int:
        """Redact new bytes, cut the log to `limit`; return by how much it grew."""
        size = os.stat(self._path).st_size
        grown = size - self._size
        if grown < 0:  # another process truncated it
            self._covered = self._head = 0
            self._marker = b""
        if self._most and size > limit:
            stopped = process_tree.stop_all()
            try:
                size = self._cut(os.stat(self._path).st_size)
            finally:
                process_tree.continue_all(stopped)
        elif self._forms:
            self._cover(self._covered, size)
        self._size = self._covered = size
        return abs(grown)

    def _cut(self, size: int) -> int:
        """Cut the middle of the log, keep first half and end; return the new size."""
        self._open()
        if not self._marker:
            self._head = self._end_of_line(self._most // 2)
        old_tail = self._head + len(self._marker)
        room = self._most - self._head - _MARKER_MAX
        near = min(room // 2, _LINE_MAX)
        tail = max(self._begin_of_line(size - room, near), old_tail)
        if self._forms:
            # Redact beyond both cuts too, because a cut may split a secret.
            self._cover(self._covered, min(self._head + self._owner_client, size))
            self._cover(max(self._covered, tail), size)
        self.dropped += tail - old_tail
        self._marker = MARKER % self.dropped
        if os.pread(self._fd, 1, self._head - 1) != b"\n":
            self._marker = b"\n" + self._marker
        # Readers wait for a whole marker: until it is written, the tail is incomplete.
        unfinished = self._marker.replace(b"-", b"~")
        to = self._head + os.pwrite(self._fd, unfinished, self._head)
        while True:
            data = os.pread(self._fd, _BLOCK, tail)
            if not data:
                break
            tail += len(data)
            to += os.pwrite(self._fd, data, to)
        os.ftruncate(self._fd, to)
        os.pwrite(self._fd, self._marker, self._head)
        return to

    def _open(self) -> None:
        """Open the log for writing anywhere: the task's descriptor can only append."""
        if self._fd < 0:
            self._fd = open_own(self._path, os.O_RDWR)

    def _end_of_line(self, at: int) -> int:
        """Return where the last line up to `at` ends; `at` if no line ends near it."""
        begin = at - min(at // 2, _LINE_MAX)
        end = os.pread(self._fd, at - begin, begin).rfind(b"\n")
        return begin + end + 1 if end >= 0 else at

    def _begin_of_line(self, at: int, near: int) -> int:
        """Return where the first line from `at` on begins; `at` if none is near."""
        end = os.pread(self._fd, near, at - 1).find(b"\n")
        return at + end if end >= 0 else at

    def _cover(self, begin: int, end: int) -> None:
        """Redact every form that ends after `begin`, reading a block at a time."""
        at = max(begin - self._owner_client, 0) if begin < end else end
        while at < end:
            self._open()
            data = os.pread(self._fd, _BLOCK + self._owner_client, at)
            for first, last in redact.find_secrets(data, self._forms):
                os.pwrite(self._fd, b"*" * (last - first), at + first)
            at += _BLOCK

    def _drop_uncovered(self) -> None:
        """Discard bytes that a bad disk left unredacted: they may hold secrets."""
        try:
            self._open()
            size = os.fstat(self._fd).st_size
            os.ftruncate(self._fd, min(self._covered, size))
            self.dropped += max(size - self._covered, 0)
        except OSError:
            pass
