"""Owns the short account of a run: read from the ends of its journal, not replayed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from provctl.errors import JournalDamaged
from provctl.journal.lock import is_held

if TYPE_CHECKING:
    from provctl.journal.folder import RunFolder, StateFolder

__all__ = ["RunSummary", "summaries", "summarise"]

_END = 4096  # bytes read at each end; submission and finish are far shorter


@dataclass(frozen=True)
class RunSummary:
    """What lists show. `status` and `outcome` as in `core.view.RunView`.

    Times are seconds since the epoch. `owned`: a process takes care of it now.
    `damage` says what is wrong with a journal that cannot be read; then the status
    is "damaged".
    """

    id: str
    name: str
    status: str
    outcome: Optional[str]
    created_at: float
    finished_at: Optional[float] = None
    tasks: int = 0
    priority: int = 0
    batch: Optional[str] = None
    owned: bool = False
    damage: str = ""


def summaries(folder: StateFolder) -> List[RunSummary]:
    """Return the account of every run, oldest first; damaged ones included."""
    found = []
    for run_id in folder.run_ids():
        run = folder.run(run_id)
        try:
            found.append(summarise(run))
        except JournalDamaged as problem:
            created = _made_at(run)
            found.append(
                RunSummary(
                    run_id, "?", "damaged", None, created, damage=problem.message
                )
            )
    return sorted(found, key=lambda run: (run.created_at, run.id))


def summarise(folder: RunFolder) -> RunSummary:
    """Return the account of one run. Raises JournalDamaged.

    It looks at the first and the last record; only of a run that is under way
    the whole journal, and only for what kinds of records are in it.
    """
    try:
        with folder.journal.open("rb") as file:
            head = file.read(_END)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _END))
            last = _last_record(file.read())
            status, outcome = "finished", last.get("outcome")
            if last.get("type") != "run_finished":
                file.seek(0)
                status, outcome = _under_way(file.read()), None
    except OSError as problem:
        message = f"{folder.journal}: {problem.strerror}"
        raise JournalDamaged(message) from problem
    first = _record(head.partition(b"\n")[0])
    if first.get("type") != "run_submitted":
        message = f"{folder.journal}: its first record is not the submission"
        raise JournalDamaged(message)
    return RunSummary(
        id=folder.id,
        name=first["name"],
        status=status,
        outcome=outcome,
        created_at=first["at"],
        finished_at=last["at"] if outcome else None,
        tasks=first["tasks"],
        priority=first.get("priority", 0),
        batch=first.get("batch"),
        owned=outcome is None and is_held(folder.lock),
    )


def _under_way(data: bytes) -> str:
    """A word for an unfinished run; whether it is held needs the order of records."""
    held = data.rfind(b'"type":"task_held"')
    moved = max(
        data.rfind(b'"type":"attempt_started"'), data.rfind(b'"type":"task_resolved"')
    )
    if held > moved:
        return "held"
    if b'"type":"cancel_requested"' in data:
        return "cancelling"
    return "queued" if moved < 0 else "running"


def _last_record(tail: bytes) -> Dict[str, Any]:
    """The last whole line; a torn one behind it is not looked at."""
    whole = tail[: tail.rfind(b"\n") + 1]
    return _record(whole.rstrip(b"\n").rpartition(b"\n")[2])


def _record(line: bytes) -> Dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _made_at(folder: RunFolder) -> float:
    try:
        return folder.path.stat().st_mtime
    except OSError:
        return 0.0
