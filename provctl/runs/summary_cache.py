"""Summaries of all runs, kept in the cache so that lists and @last answer at once.

An account is believed as long as the journal it was read from looks the same to
`stat`: a journal only ever grows.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
)

from provctl.base.flock import is_locked
from provctl.base.folder_size import size_of
from provctl.base.record_cache import cache_path, read_cache, write_cache
from provctl.storage.run_summary import (
    RunSummary,
    is_left_alone,
    journal_fingerprint,
    summarise_or_damaged,
)

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir, StateDir


# No JSON: to import that alone takes as long as to read a thousand of these.
_HEAD = (
    "stamp created_at status outcome finished_at tasks priority size"
    " batch name label..."
)
_OUTCOME, _SIZE = 3, 7  # their columns
_SHOWN = 200
_WORTH_IT = 100  # runs of which one is read in the time in which all are kept


def accounts(folder: StateDir) -> List[RunSummary]:
    """Return the account of every run, as `RunSummaryCache.every`. Raises StateDirError."""
    return summary_cache(folder).every()


def summary_cache(folder: StateDir) -> RunSummaryCache:
    """Return the runs of a state directory. Raises StateDirError."""
    from provctl.config.paths import cache_dir

    return RunSummaryCache(folder, cache_dir())


class RunSummaryCache:
    """The runs of a state directory, with accounts that are kept below `cache`.

    What cannot be read in `within_s` is left for the next one. Raises StateDirError.
    """

    def __init__(
        self, folder: StateDir, cache: Path, *, within_s: float = float("inf")
    ) -> None:
        self._folder = folder
        self._file = cache_path(cache / "runs", folder.path)
        self._deadline = time.monotonic() + within_s
        self._ids = folder.run_ids()
        kept = read_cache(self._file, _HEAD)
        self._kept = {run: kept[run] for run in self._ids if run in kept}
        self._known: Dict[str, RunSummary] = {}  # those that were looked at
        self._has_counted = False

    def every(self) -> List[RunSummary]:
        """Return the account of every run as it is now, the oldest first.

        Those of damaged runs are among them.
        """
        return sorted(self.now(self._ids), key=_creation_key)

    def latest(
        self,
        fits: Optional[Callable[[RunSummary], bool]] = None,
        most: int = _SHOWN,
    ) -> List[RunSummary]:
        """Return the runs that fit, the newest first, and at most `most` of them.

        `fits` goes by what never changes of a run: its id, name, batch and labels.
        """
        self._look_at(run for run in self._ids if run not in self._kept)
        there = [run for run in self._ids if run in self._kept or run in self._known]
        order = sorted(there, key=self._created, reverse=True)
        fitting = (
            order if fits is None else (r for r in order if fits(self._last_of(r)))
        )
        # Only those: to look at a thousand journals takes 3 ms.
        return self.now(list(islice(fitting, most)))

    def size(self, run_id: str) -> int:
        """Return the bytes on disk of a run that has ended; they stay as they are.

        What had to be counted is kept by `keep`.
        """
        row = self._kept.get(run_id, "").split("\t")
        if len(row) <= _SIZE or not row[_OUTCOME]:
            return size_of(self._folder.run(run_id).path)
        if not row[_SIZE]:
            row[_SIZE] = str(size_of(self._folder.run(run_id).path))
            self._has_counted = True
            self._kept[run_id] = "\t".join(row)
        return int(row[_SIZE])

    def keep(self) -> None:
        """Write down the sizes that had to be counted, if there are any."""
        if self._has_counted:
            write_cache(self._file, _HEAD, self._kept)

    def _last_of(self, run_id: str) -> RunSummary:
        """The account of a run as it was when it was last looked at."""
        known = self._known.get(run_id)
        return _account(run_id, self._kept[run_id]) if known is None else known

    def _created(self, run_id: str) -> Tuple[float, str]:
        known = self._known.get(run_id)
        if known is not None:
            return _creation_key(known)
        return float(self._kept[run_id].split("\t", 2)[1]), run_id

    def now(self, run_ids: Sequence[str]) -> List[RunSummary]:
        """Return the accounts of runs as they are now, in the order of their ids here."""
        for run_id in run_ids:
            if run_id not in self._known and run_id not in self._kept:
                continue
            run = self._known[run_id] = self._last_of(run_id)
            if run.outcome is None:
                # Before the journal is looked at: who ends a run lets go of it then.
                folder = self._folder.run(run_id)
                owned = is_locked(folder.lock)
                if not owned and _may_be_told_apart(folder, run):
                    self._known[run_id] = summarise_or_damaged(folder)
                else:
                    self._known[run_id] = run._replace(owned=owned)
        self._look_at(run_ids)
        return [self._known[run] for run in run_ids if run in self._known]

    def find(self, text: str) -> Optional[RunSummary]:
        """Return the run that `text` names: the start of an id, or @last.

        None if there is none, or if there are several.
        """
        if text == "@last":
            return next(iter(self.latest(most=1)), None)
        found = [run for run in self._ids if text and run.startswith(text)]
        return next(iter(self.now(found)), None) if len(found) == 1 else None

    def _look_at(self, run_ids: Iterable[str]) -> None:
        """Read again what has grown, as much as there is time for, and keep it."""
        runs, fresh = str(self._folder.runs), 0
        for run_id in run_ids:
            # First the stamp: what grows meanwhile does not look like it next time.
            stamp = journal_fingerprint(runs, run_id)
            if stamp and self._kept.get(run_id, "").startswith(f"{stamp}\t"):
                continue
            if time.monotonic() > self._deadline:
                break
            run = self._known[run_id] = summarise_or_damaged(self._folder.run(run_id))
            self._kept.pop(run_id, None)
            if stamp and not run.damage:
                self._kept[run_id] = _row(stamp, run)
                fresh += 1
        if fresh * _WORTH_IT >= len(self._kept) > 0:
            write_cache(self._file, _HEAD, self._kept)


def _may_be_told_apart(folder: RunDir, run: RunSummary) -> bool:
    """Whether its marker, or that it has none, may say more than its journal did."""
    if run.status == "incomplete":
        return True
    try:
        return run.status == "queued" and is_left_alone(folder)
    except OSError:
        return True  # whatever it is, the journal is looked at


def _creation_key(run: RunSummary) -> Tuple[float, str]:
    return run.created_at, run.id


def _row(stamp: str, run: RunSummary) -> str:
    """An account as a line; its texts such that they have no tab in them."""
    ended = "" if run.finished_at is None else repr(run.finished_at)
    facts = (
        run.status,
        run.outcome or "",
        ended,
        str(run.tasks),
        str(run.priority),
        "",
    )
    labels = (f"{key}={value}" for key, value in run.labels.items())
    texts = (run.batch or "", run.name, *labels)
    kept = (text.encode("unicode_escape").decode("ascii") for text in texts)
    return "\t".join([stamp, repr(run.created_at), *facts, *kept])


def _account(run_id: str, row: str) -> RunSummary:
    _, made, status, outcome, ended, tasks, priority, _, *texts = row.split("\t")
    if "\\" in row:
        texts = [text.encode("ascii").decode("unicode_escape") for text in texts]
    batch, name, *labels = texts
    return RunSummary(
        run_id,
        name,
        status,
        outcome or None,
        float(made),
        float(ended) if ended else None,
        int(tasks),
        int(priority),
        batch or None,
        dict(label.split("=", 1) for label in labels) if labels else {},
    )
