"""Owns the accounts of all runs, for lists: those of finished runs from a cache.

An account is believed as long as the journal it was read from looks the same to
`stat`: a journal only ever grows. Where there are few runs nothing is kept.
"""

from __future__ import annotations

import json
import os
from binascii import crc32
from typing import TYPE_CHECKING, Dict, List

from provctl.journal.summary import RunSummary, account
from provctl.shelf import read_shelf, write_shelf

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.journal.folder import StateFolder

__all__ = ["WORTH_IT", "accounts"]

WORTH_IT = 50  # runs; to read fewer takes 5 ms

_FIELDS = tuple(RunSummary.__dataclass_fields__)
_HEAD = f"accounts {' '.join(_FIELDS)}"


def accounts(folder: StateFolder, cache: Path) -> List[RunSummary]:
    """Return the account of every run, oldest first, as `journal.summary.summaries`.

    `cache` is where what can be made again is kept. Raises StateUnusable.
    """
    ids = folder.run_ids()
    file = cache / "accounts" / f"{crc32(os.fsencode(folder.path)):08x}"
    kept = read_shelf(file, _HEAD) if len(ids) >= WORTH_IT else {}
    runs, found = str(folder.runs), []
    rows: Dict[str, str] = {}
    believed: List[str] = []
    for run_id in ids:
        # First the stamp: what grows meanwhile does not look like it next time.
        stamp = _stamp(f"{runs}/{run_id}/journal.jsonl")
        row = kept.get(run_id, "")
        if stamp and row.startswith(stamp):
            rows[run_id] = row
            believed.append(row[len(stamp) :])
            continue
        run = account(folder.run(run_id))
        found.append(run)
        if run.outcome is not None and stamp:
            values = [getattr(run, name) for name in _FIELDS]
            rows[run_id] = stamp + json.dumps(values)
    if sum(rows[run_id] != kept.get(run_id) for run_id in rows) >= WORTH_IT:
        write_shelf(file, _HEAD, rows)
    # All at once: one by one takes twice as long.
    found += [RunSummary(*values) for values in json.loads(f"[{','.join(believed)}]")]
    return sorted(found, key=lambda run: (run.created_at, run.id))


def _stamp(path: str) -> str:
    try:
        about = os.stat(path)  # noqa: PTH116  # of thousands, and a Path costs as much
    except OSError:
        return ""
    return f"{about.st_mtime_ns} {about.st_size} {about.st_ino} "
