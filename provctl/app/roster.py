"""Owns the roster: short accounts of all runs, kept in the cache for who is in a hurry.

An account is believed as long as the journal it was read from has the same size and
time: a journal only ever grows.
"""

from __future__ import annotations

import os
import time
from binascii import crc32
from itertools import islice
from typing import (
    TYPE_CHECKING,
    Callable,
    Iterable,
    List,
    NamedTuple,
    Optional,
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


# What tells that a journal has grown, when the run was made, and its word, batch and
# name: text, for to import json alone takes as long as to read a thousand of these.
_Row = List[str]


class Roster:
    """The runs of a state directory, with accounts that are kept below `cache`.

    What cannot be read in time is left for the next one. Raises StateUnusable.
    """

    def __init__(self, folder: StateFolder, cache: Path) -> None:
        self._folder = folder
        self._file = cache / "runs" / f"{crc32(os.fsencode(folder.path)):08x}"
        self._deadline = time.monotonic() + _WITHIN_S
        ids = folder.run_ids()
        if len(ids) > _MOST:
            ids = []
        kept = read_shelf(self._file, _HEAD)
        self._rows = {run: kept[run].split("\t") for run in ids if run in kept}
        self._look_at(run for run in ids if run not in kept)

    def newest(
        self, fits: Callable[[Known], bool] = lambda _run: True, most: int = _SHOWN
    ) -> List[Known]:
        """Return the runs that fit, the newest first, and at most `most` of them."""
        rows = self._rows
        order = sorted(rows, key=lambda run: (float(rows[run][1]), run), reverse=True)
        known = (_known(run, rows[run]) for run in order)
        shown = [run.id for run in islice(filter(fits, known), most)]
        # Only those: to look at a thousand journals takes 3 ms.
        self._look_at(shown)
        return [_known(run, rows[run]) for run in shown]

    def find(self, text: str) -> Optional[Known]:
        """Return the one run that `text` names: the start of an id, or @last.

        None if there is none, or if there are several.
        """
        if text == "@last":
            return next(iter(self.newest(most=1)), None)
        found = self.newest(lambda run: bool(text) and run.id.startswith(text), 2)
        return found[0] if len(found) == 1 else None

    def _look_at(self, run_ids: Iterable[str]) -> None:
        """Read again what has grown, as much as there is time for, and keep it."""
        runs, fresh = str(self._folder.runs), {}
        for run_id in run_ids:
            stamp = _stamp(f"{runs}/{run_id}/journal.jsonl")
            if run_id in self._rows and self._rows[run_id][0] == stamp:
                continue
            if time.monotonic() > self._deadline:
                break
            fresh[run_id] = _row(self._folder, run_id, stamp)
        if fresh:
            self._rows.update(fresh)
            lines = {run: "\t".join(row) for run, row in self._rows.items()}
            write_shelf(self._file, _HEAD, lines)


def _known(run_id: str, row: _Row) -> Known:
    _, created_at, word, batch, name = row
    if "\\" in name:
        name = name.encode("ascii").decode("unicode_escape")
    return Known(run_id, name, word, float(created_at), batch or None)


def _row(folder: StateFolder, run_id: str, stamp: str) -> _Row:
    from provctl.journal.summary import account

    run = account(folder.run(run_id))
    name = run.name.encode("unicode_escape").decode("ascii")
    word = run.outcome or run.status
    return [stamp, repr(run.created_at), word, run.batch or "", name]


def _stamp(path: str) -> str:
    try:
        about = os.stat(path)  # noqa: PTH116 - many files, and a Path costs as much
    except OSError:
        return ""
    return f"{about.st_mtime_ns} {about.st_size}"
