"""Repairs a damaged journal: copies it, then keeps only the intact part.

The intact part can continue because `attempts/` still records what ran. If the record
of a start is dropped, the start is decided again with the same number and finds its
fence taken. Then the content of its attempt file is recorded, so the attempt never runs
twice. Requests are recorded in the journal alone: users have to be told which requests
are dropped, and repeat them. (Writing a dropped cancel request again would finish tasks
as never started whose starts are dropped too, and leave their processes running.)
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
    """What a repair drops: everything from `offset` on.

    `records` counts lines; `readable` are the lines that are intact by themselves.
    """

    offset: int
    size: int
    records: int
    readable: Tuple[Dict[str, Any], ...]

    @property
    def cancelled(self) -> bool:
        """Whether a cancel request is among the readable records."""
        return any(record.get("type") == "cancel_requested" for record in self.readable)


def dropped_records(folder: RunDir, finding: Inspection) -> RepairReport:
    """Return what a repair would drop; change nothing."""
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
    """Keep the intact part; return the path of the copy of the whole journal.

    Only the holder of the owner lock may call it. If it is interrupted, the journal is
    either the old one or the new one. Raises StateDirError.
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
