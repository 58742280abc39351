"""A journal of a real run, with a reader that starts at any record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional, Tuple
from zlib import crc32

from provctl.errors import JournalDamaged
from provctl.storage.journal.codec import JournalRecord, decode
from provctl.storage.journal.file import JournalOffset, JournalReader
from provctl.storage.layout import RunDir

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

__all__ = ["RealJournal", "run_for_real", "sealed_again"]

TASKS = 40


@dataclass(frozen=True)
class RealJournal:
    """The files of a run: its lines, and their offsets. `folder` may be damaged."""

    folder: RunDir
    lines: Tuple[bytes, ...]
    starts: Tuple[int, ...]
    records: Tuple[JournalRecord, ...]

    @property
    def whole(self) -> bytes:
        """The file as written."""
        return b"".join(self.lines)

    def before(self, index: int) -> JournalOffset:
        """The position of a reader after the records before this one."""
        if not index:
            return JournalOffset()
        return JournalOffset(self.starts[index], index, self.records[index - 1].crc)

    def verdict(self, index: int = 0) -> Tuple[str, int]:
        """The verdict of a reader that starts at a record.

        It is "damaged" and the number of the record, or "ok" or "torn" and the number
        of records read. Every record that is read must be what was written.
        """
        start = self.before(index)
        reader = JournalReader(self.folder.journal, self.folder.id, start)
        found: Optional[JournalDamaged] = None
        events: List[object] = []
        try:
            reader.read_into(events)  # type: ignore[arg-type]
        except JournalDamaged as problem:
            found = problem
        written = [line.event for line in self.records[index : index + len(events)]]
        assert events == written
        if found is not None:
            return "damaged", int(found.message.split("record ")[1].split(":")[0])
        return "torn" if reader.torn else "ok", index + len(events)

    def proven(self, index: int, *, by: int) -> bool:
        """Whether a line from `by` on says that a record was on disk."""
        return any(line.durable > index for line in self.records[by:])


def run_for_real(provctl: Provctl) -> RealJournal:
    """Run a chain of tasks with the installed command; return its journal."""
    tasks = {
        f"t{n}": {"command": ["true"], "needs": [f"t{n - 1}"] if n else []}
        for n in range(TASKS)
    }
    provctl("run", provctl.file(tasks))
    (run,) = provctl.runs()
    return read(provctl.state / "runs" / run)


def read(path: Path) -> RealJournal:
    """Split a valid journal into its parts."""
    folder = RunDir(path)
    lines = tuple(folder.journal.read_bytes().splitlines(keepends=True))
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line)
    records = tuple(decode(line[:-1], folder.id) for line in lines)
    return RealJournal(folder, lines, tuple(starts), records)


def sealed_again(line: bytes, old: bytes, new: bytes) -> bytes:
    """A line with a part replaced, and a valid seal."""
    assert old in line
    body = line[:-19].replace(old, new, 1)
    return body + b',"crc":"%08x"}\n' % crc32(body)
