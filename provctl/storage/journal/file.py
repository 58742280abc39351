"""A journal file: one writer appends and syncs, any process reads and verifies."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)
from zlib import crc32

from provctl.base.light_dataclass import light_dataclass
from provctl.base.safe_open import open_own, read_own
from provctl.errors import JournalDamaged, JournalTooNew, StateDirError
from provctl.storage.journal.codec import START, NewerFormat, OtherRun, decode, encode
from provctl.storage.read_error import unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.events import Event


# Syncs file data to disk; fdatasync where the system has it.
_sync = getattr(os, "fdatasync", os.fsync)


@light_dataclass
class JournalOffset:
    """The end of the verified part: byte offset, last seq, CRC of the last line.

    `sum` is the CRC-32 of all bytes before it.
    """

    offset: int = 0
    seq: int = 0
    crc: str = START
    sum: int = 0


class Journal:
    """The writer. `add` collects events, `commit` makes all of them durable.

    Each run has one writer, the holder of the owner lock. After a failed write or sync
    the journal is poisoned: the page cache may differ from the disk, so this process
    appends nothing more. Raises StateDirError.
    """

    def __init__(self, path: Path, position: JournalOffset) -> None:
        self._path = path
        try:
            self._fd = open_own(path, os.O_WRONLY | os.O_CREAT)
        except OSError as problem:
            raise _unusable(path, problem) from problem
        self._offset = position.offset
        self._seq = position.seq
        self._durable = position.seq
        self._crc = position.crc
        self._sum = position.sum
        self._pending: List[bytes] = []
        self._poisoned = False
        # An earlier writer may have died before its records were on disk.
        self._settled = not position.seq

    def add(self, event: Event) -> None:
        """Collect an event for the next `commit`."""
        self._seq += 1
        line, self._crc = encode(
            event, seq=self._seq, durable=self._durable, prev=self._crc
        )
        self._pending.append(line)

    def commit(self) -> None:
        """Write and sync the collected events. StateDirError poisons the journal.

        The earlier content is synced first, because each line records what was on disk
        when it was written.
        """
        if self._poisoned:
            message = f"{self._path}: not written because of an earlier error"
            raise StateDirError(message)
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        try:
            if not self._settled:
                _sync(self._fd)
                self._settled = True
            _write_all(self._fd, data, self._offset)
            _sync(self._fd)
        except OSError as problem:
            self._poisoned = True
            self._take_back()
            raise _unusable(self._path, problem) from problem
        self._offset += len(data)
        self._durable = self._seq
        self._sum = crc32(data, self._sum)

    @property
    def position(self) -> JournalOffset:
        """The end of the journal, when no events wait for `commit`."""
        return JournalOffset(self._offset, self._seq, self._crc, self._sum)

    def _take_back(self) -> None:
        """Remove a partial line; readers treat one as a torn tail anyway."""
        try:
            os.ftruncate(self._fd, self._offset)
        except OSError:
            return

    def close(self) -> None:
        """Close the descriptor. Events that were not committed are dropped."""
        os.close(self._fd)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


class JournalReader:
    """Reads a journal that may still grow; each call continues after the last one."""

    def __init__(
        self, path: Path, run: str, position: Optional[JournalOffset] = None
    ) -> None:
        self._path = path
        self._run = run
        start = position or JournalOffset()
        self._offset, self._seq = start.offset, start.seq
        self._crc, self._sum = start.crc, start.sum
        # The bytes after the verified part at the last `read`.
        self.torn = b""

    @property
    def position(self) -> JournalOffset:
        """The end of the verified part."""
        return JournalOffset(self._offset, self._seq, self._crc, self._sum)

    def read(self) -> List[Event]:
        """Return the new complete events.

        An unfinished or unsealed last line is left for the next call, because the
        writer may still be writing it. Raises JournalDamaged, JournalTooNew, or
        StateDirError if the file cannot be read now.
        """
        events: List[Event] = []
        self.read_into(events)
        return events

    def read_into(self, events: List[Event]) -> None:
        """Append what `read` returns to `events`; on damage, the events before it."""
        try:
            data = read_own(self._path, self._offset)
        except OSError as problem:
            hint = "nothing was changed"
            raise unreadable(self._path, problem, hint=hint) from problem
        base = self._offset
        for start, end in _lines(data, 0):
            try:
                events.append(self._verify(data[start:end]))
            except ValueError as problem:
                if self._is_damage(data, start):
                    raise self._damaged(str(problem)) from None
                break
        read = self._offset - base
        self._sum = crc32(data[:read], self._sum)
        self.torn = data[read:]

    def _verify(self, raw: bytes) -> Event:
        try:
            line = decode(raw, self._run)
        except OtherRun as other:
            raise self._damaged(str(other)) from None
        except NewerFormat as newer:
            message = f"{self._path}: record {self._seq + 1}: {newer}"
            raise JournalTooNew(
                message, hint="use the provctl version that wrote it, or a newer one"
            ) from None
        if line.seq != self._seq + 1 or line.prev != self._crc:
            message = "does not follow the record before"
            raise ValueError(message)
        self._offset += len(raw) + 1
        self._seq, self._crc = line.seq, line.crc
        return line.event

    def _is_damage(self, data: bytes, start: int) -> bool:
        """Whether a line from `start` on proves that the missing one was on disk."""
        bad = self._seq + 1
        for first, end in _lines(data, start):
            try:
                line = decode(data[first:end], self._run)
            except (ValueError, NewerFormat):
                continue
            if line.durable >= bad:
                return True
        return False

    def _damaged(self, why: str) -> JournalDamaged:
        at = f"offset {self._offset}, record {self._seq + 1}"
        message = f"{self._path}: damaged at {at}: {why}"
        return JournalDamaged(
            message, hint="nothing was changed; other runs are not affected"
        )


def _lines(data: bytes, start: int) -> Iterator[Tuple[int, int]]:
    """Yield the start and end of each line that has its newline."""
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            return
        yield start, end
        start = end + 1


def recover(
    path: Path, run: str, start: Optional[JournalOffset] = None
) -> Tuple[List[Event], JournalOffset]:
    """Return all events and the end of the journal, for the owner; cut off a torn tail.

    With `start`, the end of a part that is already checked, return only the events
    after it.

    A torn tail was never acknowledged: it is copied to another file and cut off. The
    first `commit` makes sure that the rest is on disk. Raises JournalDamaged (also for
    an empty journal, because submission wrote the first record), JournalTooNew and
    StateDirError; each leaves the file unchanged.
    """
    journal = JournalReader(path, run, start)
    events = journal.read()
    if not journal.position.seq:
        message = f"{path}: it contains no complete record"
        raise JournalDamaged(message, hint="nothing was changed")
    if journal.torn:
        try:
            _cut(path, journal.position.offset, journal.torn)
        except OSError as problem:
            raise _unusable(path, problem) from problem
    return events, journal.position


def _cut(path: Path, offset: int, torn: bytes) -> None:
    aside = path.with_name(f"{path.name}.torn-{offset}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(open_own(aside, flags), "wb") as copy:
        copy.write(torn)
    fd = open_own(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, offset)
    finally:
        os.close(fd)


def _unusable(path: Path, problem: OSError) -> StateDirError:
    message = f"{path}: cannot write the journal: {problem.strerror}"
    hint = "running tasks continue; free disk space or repair the disk"
    return StateDirError(message, hint=hint)


_MANY = 16  # from this number on threads save more than they cost
_SYNCS = 16  # at a time: a disk syncs many files almost as fast as one


def commit_all(journals: Mapping[str, Journal]) -> Dict[str, StateDirError]:
    """Commit each journal; return the errors of those that failed, by name."""
    found = _commit_in_order(list(journals.values()))
    return {name: problem for name, problem in zip(journals, found) if problem}


def _commit_in_order(journals: Sequence[Journal]) -> List[Optional[StateDirError]]:
    if len(journals) >= _MANY:
        with suppress(RuntimeError), ThreadPoolExecutor(_SYNCS) as pool:
            return list(pool.map(_commit, journals))
        # Some threads could not be started. Events that are already written stay
        # written.
    return [_commit(journal) for journal in journals]


def _commit(journal: Journal) -> Optional[StateDirError]:
    try:
        journal.commit()
    except StateDirError as problem:
        return problem
    return None
