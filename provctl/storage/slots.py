"""Slots and pools that all owners of a state directory share.

Each resource has a file, and each of its units is a byte of the file. A unit is taken
while a process holds a shared lock on its byte: the owner that started the attempt, or
the shim of the attempt (see `executors.local.slots`). So a dead process holds no units,
and a running task keeps its units even if its owner is killed. The file also has bytes
for

 * the first waiter, which alone may take units that become free; otherwise an owner
   that needs many units could wait forever
 * each owner, locked while the owner lives; a shim that starts late uses it to detect
   that others may have taken its units

The content of the file is for users only: who took each unit. An owner that releases
units opens the file for writing and closes it. This wakes the owners that wait.
"""

from __future__ import annotations

import os
import random
from bisect import insort
from contextlib import suppress
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, Mapping, Tuple

from provctl.base import byte_range_lock
from provctl.base.safe_open import open_own
from provctl.errors import StateDirError

if TYPE_CHECKING:
    from pathlib import Path


# File, byte of the owner, first unit, number of units.
Taken = Tuple[str, int, int, int]

_Range = Tuple[int, int]  # begin and end

# Set in tests: each owner has all slots for itself, to show the effect of sharing.
_ALONE = bool(os.environ.get("PROVCTL_FAILPOINT_SLOTS_ALONE"))

_FIRST = 1 << 40  # the byte of the first waiter
_OWNERS = 1 << 41  # the first byte of the owners
_RECORD = 256  # bytes of the record of a unit
_RECORDS = 4096  # units that have a record


class Slots:
    """The slots of one owner, acquired and released per attempt.

    `sizes` is the number of units of each resource in the configuration of this owner.
    If the system has no such locks, nothing is shared and nothing is refused.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        self._files: Dict[str, _Units] = {}
        self._taken: Dict[Tuple[str, str], List[Tuple[_Units, List[_Range]]]] = {}
        self._awaited: List[_Units] = []
        if _ALONE or not byte_range_lock.AVAILABLE:
            return
        owner = _OWNERS + random.SystemRandom().getrandbits(40)
        try:
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
            for resource, size in sizes.items():
                path = str(_file_of(folder, resource))
                self._files[resource] = _Units(path, size, owner)
        except OSError as problem:
            self.close()
            message = f"{folder}: cannot lock the files in it: {problem.strerror}"
            raise StateDirError(message) from problem

    def acquire(
        self, run: str, task: str, wanted: Iterable[Tuple[str, int]]
    ) -> List[str]:
        """Take all units for an attempt or none; return the resources that are lacking.

        From the next `settle` on, this owner waits for the lacking resources.
        """
        wishes = [(self._files[r], n) for r, n in wanted if r in self._files]
        is_behind = [file for file, _ in wishes if file.is_behind()]
        found = [(file, file.free(amount)) for file, amount in wishes]
        lacking = is_behind or [file for file, ranges in found if not ranges]
        if not lacking:
            lacking = self._lock(run, task, found)
        elif not is_behind:
            # Otherwise the first waiter for one resource could need what this owner
            # waits for.
            self._awaited += lacking
        return [name for name, file in self._files.items() if file in lacking]

    def _lock(
        self, run: str, task: str, found: List[Tuple[_Units, List[_Range]]]
    ) -> List[_Units]:
        """Lock free units; return the resource whose units another owner took first."""
        for file, ranges in found:
            if not file.lock(ranges, f"{run}/{task}"):
                for other, _ in found:
                    other.announce()  # others may have seen its units as taken
                return [file]
        self._taken[(run, task)] = found
        return []

    def taken(self, run: str, task: str) -> Tuple[Taken, ...]:
        """Return the units of an attempt, for its shim."""
        return tuple(
            (file.path, file.owner, begin, end - begin)
            for file, ranges in self._taken.get((run, task), ())
            for begin, end in ranges
        )

    def release(self, run: str, task: str) -> None:
        """Release the units of an attempt. Does nothing if this owner gave it none."""
        for file, ranges in self._taken.pop((run, task), ()):
            file.unlock(ranges)
            file.announce()

    def forget(self, run: str) -> None:
        """Release the units of all attempts of a run. Their shims keep theirs."""
        for key in [key for key in self._taken if key[0] == run]:
            self.release(*key)

    def settle(self) -> None:
        """Wait only for resources that were lacking since the last call.

        For each of them, try to be the first waiter.
        """
        for file in self._files.values():
            if file in self._awaited:
                file.stand_first()
            else:
                file.stand_back()
        self._awaited.clear()

    def close(self) -> None:
        """Release everything."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._taken.clear()


class _Units:
    """The file of one resource. All units are locked through one open file."""

    def __init__(self, path: str, size: int, owner: int) -> None:
        self.path = path
        self.owner = owner
        self._size = size
        self._own: List[_Range] = []  # sorted
        self._first = -1  # descriptor while this owner is the first waiter
        self._fd = _open(path)
        try:
            byte_range_lock.exclude(self._fd, owner, 1)
        except OSError:
            os.close(self._fd)
            raise

    def free(self, amount: int) -> List[_Range]:
        """Return where `amount` units are free; nothing if there are fewer.

        A request for more units than exist gets all of them.
        """
        wanted = min(amount, self._size)
        found: List[_Range] = []
        for begin, end in self._gaps():
            for first, last in _unlocked_ranges(self._fd, begin, end):
                found.append((first, min(last, first + wanted)))
                wanted -= found[-1][1] - first
                if not wanted:
                    return found
        return []

    def _gaps(self) -> Iterator[_Range]:
        begin = 0
        for first, last in self._own:
            if first > begin:
                yield begin, min(first, self._size)
            begin = last
        if begin < self._size:
            yield begin, self._size

    def lock(self, ranges: List[_Range], who: str) -> bool:
        """Take units that were free; none if another owner took one of them first."""
        for at, (begin, end) in enumerate(ranges):
            try:
                got = byte_range_lock.exclude(self._fd, begin, end - begin)
                if got:
                    self._say(begin, end, who)
                    byte_range_lock.share(self._fd, begin, end - begin)
            except OSError:
                got = False  # the kernel has no memory for a lock: retry later
            if not got:
                self.unlock(ranges[:at])
                return False
            insort(self._own, (begin, end))
        return True

    def _say(self, begin: int, end: int, who: str) -> None:
        if begin < _RECORDS:
            text = f"{end - begin} {who}".encode()[:_RECORD]
            with suppress(OSError):  # for users only
                os.pwrite(self._fd, text.ljust(_RECORD, b"\0"), begin * _RECORD)

    def unlock(self, ranges: List[_Range]) -> None:
        for begin, end in ranges:
            self._own.remove((begin, end))
            with suppress(OSError):
                byte_range_lock.unlock(self._fd, begin, end - begin)

    def announce(self) -> None:
        """Wake the owners that wait."""
        with suppress(OSError):
            os.close(open_own(self.path, os.O_WRONLY))

    def is_behind(self) -> bool:
        """Whether another owner is the first waiter."""
        return self._first < 0 and bool(byte_range_lock.other_lock(self._fd, _FIRST, 1))

    def stand_first(self) -> None:
        if self._first >= 0:
            return
        with suppress(OSError):
            fd = _open(self.path)
            if byte_range_lock.exclude(fd, _FIRST, 1):
                self._first = fd
            else:
                os.close(fd)

    def stand_back(self) -> None:
        """Let another owner be the first waiter; this wakes it."""
        if self._first >= 0:
            byte_range_lock.unlock(self._first)
            os.close(self._first)
            self._first = -1

    def close(self) -> None:
        self.stand_back()
        # Unlock before closing: closing wakes the others, and the units must be free by
        # then.
        with suppress(OSError):
            byte_range_lock.unlock(self._fd)
        os.close(self._fd)


def slot_holders(folder: Path, resource: str, size: int) -> Dict[Tuple[str, str], int]:
    """Return how many units of a resource each (run, task) has, as far as is known."""
    found: Dict[Tuple[str, str], int] = {}
    try:
        fd = open_own(_file_of(folder, resource))
    except OSError:
        return found
    try:
        begin = 0
        for first, last in (*_unlocked_ranges(fd, 0, size), (size, size)):
            while begin < min(first, _RECORDS):
                count, _, who = _record(fd, begin).partition(" ")
                run, _, task = who.partition("/")
                units = max(int(count), 1) if count.isdigit() else 1
                if task:
                    found[run, task] = found.get((run, task), 0) + units
                begin += units
            begin = last
    except OSError:
        return found
    else:
        return found
    finally:
        os.close(fd)


def _record(fd: int, unit: int) -> str:
    raw = os.pread(fd, _RECORD, unit * _RECORD)
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def _unlocked_ranges(fd: int, begin: int, end: int) -> Iterator[_Range]:
    """The ranges in which no other open file has a lock, in order."""
    pending = [(begin, end)]
    while pending:
        begin, end = pending.pop()
        other = byte_range_lock.other_lock(fd, begin, end - begin)
        if other is None:
            yield begin, end
            continue
        first, count = other
        last = first + count if count else end  # 0: to the end
        if last < end:
            pending.append((last, end))
        if first > begin:
            pending.append((begin, first))


def _open(path: str) -> int:
    return open_own(path, os.O_RDWR | os.O_CREAT)


def _file_of(folder: Path, resource: str) -> Path:
    return folder / resource.replace(":", ".")
