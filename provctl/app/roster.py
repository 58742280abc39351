"""Owns the roster: short accounts of all runs, kept in the cache for who is in a hurry.

An account is believed as long as the journal it was read from has the same size and
time: a journal only ever grows.
"""

from __future__ import annotations

import json
import os
import time
from binascii import crc32
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

from provctl.shelf import read_shelf, write_shelf

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.journal.folder import StateFolder

__all__ = ["Known", "Roster"]

_HEAD = "runs 1"
_MOST = 20_000  # runs; of more nobody picks one from a list
_SHOWN = 200
_WITHIN_S = 0.3  # what a person who waits for a list does not mind


class Known(NamedTuple):
    """A run: how it is, in one word, and since when, in seconds of the epoch."""

    id: str
    name: str
    word: str
    created_at: float
    batch: Optional[str] = None


# What tells that a journal has grown, then all of a `Known` but its id.
_Row = Tuple[str, Tuple[str, str, float, Optional[str]]]


class Roster:
    """The runs of a state directory, with accounts that are kept below `cache`.

    What cannot be read in time is left for the next one. Raises StateUnusable.
    """

    def __init__(self, folder: StateFolder, cache: Path) -> None:
        self._folder = folder
        self._file = cache / "runs" / f"{crc32(os.fsencode(folder.path)):08x}"
        self._deadline = time.monotonic() + _WITHIN_S
        ids = folder.run_ids()
        kept = _read(self._file) if len(ids) <= _MOST else {}
        self._rows = {run: kept[run] for run in ids if run in kept}
        if len(ids) <= _MOST:
            self._look_at(run for run in ids if run not in kept)

    def newest(self, fits: Callable[[Known], bool] = lambda _run: True) -> List[Known]:
        """Return the runs that fit, the newest first, and not more than 200."""
        runs = [Known(run, *row[1]) for run, row in self._rows.items()]
        runs.sort(key=lambda run: (run.created_at, run.id), reverse=True)
        shown = [run.id for run in runs if fits(run)][:_SHOWN]
        # Only those: to look at a thousand journals takes 3 ms.
        self._look_at(shown)
        return [Known(run, *self._rows[run][1]) for run in shown]

    def find(self, text: str) -> Optional[Known]:
        """Return the one run that `text` names: an id, the start of one, or @last.

        None if there is none, or if there are several.
        """
        if text == "@last":
            return next(iter(self.newest()), None)
        found = self.newest(lambda run: bool(text) and run.id.startswith(text))
        exact = [run for run in found if run.id == text]
        return (exact or found)[0] if exact or len(found) == 1 else None

    def _look_at(self, run_ids: Iterable[str]) -> None:
        """Read again what has grown, as much as there is time for, and keep it."""
        runs, fresh = str(self._folder.runs), {}
        for run_id in run_ids:
            stamp = _stamp(f"{runs}/{run_id}/journal.jsonl")
            if run_id in self._rows and self._rows[run_id][0] == stamp:
                continue
            if time.monotonic() > self._deadline:
                break
            fresh[run_id] = (stamp, _account(self._folder, run_id))
        if fresh:
            self._rows.update(fresh)
            lines = {run: json.dumps(row) for run, row in self._rows.items()}
            write_shelf(self._file, _HEAD, lines)


def _account(folder: StateFolder, run_id: str) -> Tuple[str, str, float, Optional[str]]:
    from provctl.journal.summary import account

    run = account(folder.run(run_id))
    return run.name, run.outcome or run.status, run.created_at, run.batch


def _read(file: Path) -> Dict[str, _Row]:
    kept = read_shelf(file, _HEAD)
    # All at once: to decode them one by one takes three times as long.
    rows: List[_Row] = json.loads(f"[{','.join(kept.values())}]")
    return dict(zip(kept, rows))


def _stamp(path: str) -> str:
    try:
        about = os.stat(path)  # noqa: PTH116 - many files, and a Path costs as much
    except OSError:
        return ""
    return f"{about.st_mtime_ns} {about.st_size}"
