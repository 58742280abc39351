"""Repairs a damaged journal: copies it, then keeps only the intact part.

Why what is left may continue: `attempts/` still tells what ran. A start whose record
is dropped is decided again under the same number, finds its fence taken, and what
its file says is recorded: it is never run twice. What people wished is told by the
journal alone: they have to be told what of it is dropped, and wish it again. (To
write a dropped request to cancel again would end tasks as never begun whose starts
are dropped too, and leave what runs of them alone.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.base.safe_open import read_own
from provctl.errors import StateDirError
from provctl.storage.journal.codec import NewerFormat, unseal
from provctl.storage.layout import fsync_dir, write_fsync

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.journal.inspect import Inspection
    from provctl.storage.layout import RunDir


@light_dataclass
class RepairReport:
    """What a repair leaves out: all from `offset` on.

    `records` counts lines, `readable` are those of them that are whole by
    themselves.
    """

    offset: int
    size: int
    records: int
    readable: Tuple[Dict[str, Any], ...]

    @property
    def cancelled(self) -> bool:
        """Whether a request to cancel is among what can still be read."""
        return any(record.get("type") == "cancel_requested" for record in self.readable)


def dropped_records(folder: RunDir, finding: Inspection) -> RepairReport:
    """Say what a repair would drop, and change nothing."""
    rest = read_own(folder.journal)[finding.end.offset :]
    readable: List[Dict[str, Any]] = []
    lines = rest.splitlines()
    for line in lines:
        try:
            readable.append(unseal(line)[0])
        except (ValueError, NewerFormat):
            continue
    return RepairReport(finding.end.offset, len(rest), len(lines), tuple(readable))


def repair(folder: RunDir, finding: Inspection) -> Path:
    """Keep what is whole, and return where the copy of all is.

    For the holder of the owner lock. Whenever it is interrupted, the journal is the
    old one or the new one. Raises StateDirError.
    """
    assert finding.mendable
    try:
        content = read_own(folder.journal)
        copy = _copy_aside(folder, content)
        fresh = folder.path / "journal.jsonl.new"
        write_fsync(fresh, content[: finding.end.offset])
        fresh.replace(folder.journal)
        fsync_dir(folder.path)
    except OSError as problem:
        where = problem.filename or folder.journal
        message = f"{where}: {problem.strerror}"
        hint = "the journal was not changed; free disk space or repair the disk"
        raise StateDirError(message, hint=hint) from problem
    return copy


def _copy_aside(folder: RunDir, content: bytes) -> Path:
    number = 1
    while (folder.path / f"journal.jsonl.damaged-{number}").exists():
        number += 1
    copy = folder.path / f"journal.jsonl.damaged-{number}"
    write_fsync(copy, content)
    fsync_dir(folder.path)
    return copy
