"""Enforces the size limit of a log and redacts secrets while it is written.

The task writes to a file, never to a pipe, so it is never blocked by provctl; the shim
looks at the file instead, soon after the start, then while it grows. A quiet task is
not looked at: `kernel.FileWatch` says when it writes again. What is too much is cut out
of the middle, in place: writers append (O_APPEND), so their next line comes after
whatever is left. The processes of the attempt are suspended meanwhile, so that every
lost byte is counted.
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
UNFINISHED = MARKER.replace(b"-", b"~")  # while it is being cut
_MARKER_MAX = 96
_LEAST = 1024  # bytes; below, a log would be all marker

_NEVER = float("inf")
_FIRST_S = 0.05  # most tasks that are over by then cost nothing at all
_GROWS_S = 0.2
_GROWS_FAST_S = 0.02
_UNWATCHED_S = 1.0  # where files cannot be watched

_BLOCK = 1 << 18
_LINE_MAX = 1 << 16  # the end of a line is looked for this far


class LogLimiter:
    """Keeps one log within `most` bytes (0: any) and free of `forms`.

    While the task runs the log may be a quarter longer, so that one who writes
    little by little does not have half of it copied for every line.
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
        self._size = 0  # at the last look
        self._covered = 0  # nothing before has to be looked at again
        self._head = 0  # where the marker begins, once there is one
        self._marker = b""

    def wake(self, now: float) -> None:
        """Heed a SIGIO: look at once if the log was written to."""
        if self._watch.fired():
            self.look_at = now

    def check(self, now: float) -> None:
        """Do what must be done, and decide when to look again."""
        try:
            grown = self._tidy(self._most + self._most // 4)
            if grown:
                fast = self._most and grown > self._most // 4
                self.look_at = now + (_GROWS_FAST_S if fast else _GROWS_S)
            elif not self._watch.arm(self._path):
                self.look_at = now + _UNWATCHED_S
            elif os.stat(self._path).st_size == self._size:
                self.look_at = _NEVER
            else:  # it was written to before it was watched
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
        """Cover what is new, cut what is over `limit`; return by how much it grew."""
        size = os.stat(self._path).st_size
        grown = size - self._size
        if grown < 0:  # somebody truncated it
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
        """Leave the first half and the last of the log; return its new size."""
        self._open()
        if not self._marker:
            self._head = self._end_of_line(self._most // 2)
        old_tail = self._head + len(self._marker)
        room = self._most - self._head - _MARKER_MAX
        near = min(room // 2, _LINE_MAX)
        tail = max(self._begin_of_line(size - room, near), old_tail)
        if self._forms:
            # Beyond both cuts, for what they cut in two.
            self._cover(self._covered, min(self._head + self._owner_client, size))
            self._cover(max(self._covered, tail), size)
        self.dropped += tail - old_tail
        self._marker = MARKER % self.dropped
        if os.pread(self._fd, 1, self._head - 1) != b"\n":
            self._marker = b"\n" + self._marker
        # Readers wait for a whole marker: until then the tail is in pieces.
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
        """Open it for writing anywhere: what the task has can only append."""
        if self._fd < 0:
            self._fd = open_own(self._path, os.O_RDWR)

    def _end_of_line(self, at: int) -> int:
        """Where the last line up to `at` ends; `at` when none ends near."""
        begin = at - min(at // 2, _LINE_MAX)
        end = os.pread(self._fd, at - begin, begin).rfind(b"\n")
        return begin + end + 1 if end >= 0 else at

    def _begin_of_line(self, at: int, near: int) -> int:
        """Where the first line from `at` on begins; `at` when none begins near."""
        end = os.pread(self._fd, near, at - 1).find(b"\n")
        return at + end if end >= 0 else at

    def _cover(self, begin: int, end: int) -> None:
        """Cover every form that ends after `begin`, reading a block at a time."""
        at = max(begin - self._owner_client, 0) if begin < end else end
        while at < end:
            self._open()
            data = os.pread(self._fd, _BLOCK + self._owner_client, at)
            for first, last in redact.find_secrets(data, self._forms):
                os.pwrite(self._fd, b"*" * (last - first), at + first)
            at += _BLOCK

    def _drop_uncovered(self) -> None:
        """The disk takes no stars: rather no log than one that shows too much."""
        try:
            self._open()
            size = os.fstat(self._fd).st_size
            os.ftruncate(self._fd, min(self._covered, size))
            self.dropped += max(size - self._covered, 0)
        except OSError:
            pass
