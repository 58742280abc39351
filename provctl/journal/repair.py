"""Owns the repair of a damaged journal: a copy aside, then the whole part alone.

Why what is left may go on: `attempts/` still tells what ran. A start whose record
is dropped is decided again under the same number, finds its fence taken, and what
its file says is recorded: it is never run twice. What people wished is told by the
journal alone, so a request to cancel is kept if it can still be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from provctl.core.events import CancelRequested
from provctl.errors import StateUnusable
from provctl.journal.codec import NewerFormat, decode
from provctl.journal.folder import sync_folder, write_synced
from provctl.journal.log import Journal
from provctl.journal.seal import unseal

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.journal.folder import RunFolder
    from provctl.journal.inspect import Finding

__all__ = ["Dropped", "repair", "what_goes"]


@dataclass(frozen=True)
class Dropped:
    """What a repair leaves out: all from `offset` on.

    `records` counts lines, `readable` are those of them that are whole by
    themselves; of these `kept` are written again.
    """

    offset: int
    size: int
    records: int
    readable: Tuple[Dict[str, Any], ...]
    kept: Tuple[CancelRequested, ...]


def what_goes(folder: RunFolder, finding: Finding) -> Dropped:
    """Say what a repair would drop, and change nothing."""
    rest = folder.journal.read_bytes()[finding.end.offset :]
    readable: List[Dict[str, Any]] = []
    kept: List[CancelRequested] = []
    lines = rest.splitlines()
    for line in lines:
        try:
            readable.append(unseal(line)[0])
            event = decode(line, folder.id).event
        except (ValueError, NewerFormat):
            continue
        if isinstance(event, CancelRequested):
            kept.append(event)
    open_still = finding.run is not None and finding.run.outcome is None
    return Dropped(
        finding.end.offset,
        len(rest),
        len(lines),
        tuple(readable),
        tuple(kept) if open_still else (),
    )


def repair(folder: RunFolder, finding: Finding, dropped: Dropped) -> Path:
    """Keep what is whole, and return where the copy of all is.

    For the holder of the owner lock. Whenever it is interrupted, the journal is the
    old one or the new one. Raises StateUnusable.
    """
    assert finding.mendable
    try:
        content = folder.journal.read_bytes()
        copy = _copy_aside(folder, content)
        fresh = folder.path / "journal.jsonl.new"
        write_synced(fresh, content[: finding.end.offset])
        journal = Journal(fresh, finding.end)
        for event in dropped.kept:
            journal.add(event)
        journal.commit()
        journal.close()
        fresh.replace(folder.journal)
        sync_folder(folder.path)
    except OSError as problem:
        where = problem.filename or folder.journal
        message = f"{where}: {problem.strerror}"
        hint = "the journal is as it was; free space or mend the disk"
        raise StateUnusable(message, hint=hint) from problem
    return copy


def _copy_aside(folder: RunFolder, content: bytes) -> Path:
    number = 1
    while (folder.path / f"journal.jsonl.damaged-{number}").exists():
        number += 1
    copy = folder.path / f"journal.jsonl.damaged-{number}"
    write_synced(copy, content)
    sync_folder(folder.path)
    return copy
