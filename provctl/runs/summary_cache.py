"""Cached summaries of all runs, so that lists and @last answer at once.

A summary is valid as long as `stat` shows an unchanged journal, because a journal only
grows.
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


# Not JSON: importing it takes as long as reading a thousand summaries.
_HEAD = (
    "stamp created_at status outcome finished_at tasks priority size"
    " batch name label..."
)
_OUTCOME, _SIZE = 3, 7  # their columns
_SHOWN = 200
_WORTH_IT = 100  # reading one run takes as long as writing this many summaries


def accounts(folder: StateDir) -> List[RunSummary]:
    """Return the summary of every run, oldest first. Raises StateDirError."""
    return summary_cache(folder).every()


def summary_cache(folder: StateDir) -> RunSummaryCache:
    """Return the runs of a state directory. Raises StateDirError."""
    from provctl.config.paths import cache_dir

    return RunSummaryCache(folder, cache_dir())


class RunSummaryCache:
    """The runs of a state directory, with summaries that are cached below `cache`.

    Summaries that cannot be read in `within_s` seconds are left to the next process.
    Raises StateDirError.
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
        self._known: Dict[str, RunSummary] = {}  # read in this process
        self._has_counted = False

    def every(self) -> List[RunSummary]:
        """Return the current summary of every run, oldest first.

        Damaged runs are included.
        """
        return sorted(self.now(self._ids), key=_creation_key)

    def latest(
        self,
        fits: Optional[Callable[[RunSummary], bool]] = None,
        most: int = _SHOWN,
    ) -> List[RunSummary]:
        """Return at most `most` matching runs, newest first.

        `fits` may only use what never changes: id, name, batch and labels of a run.
        """
        self._look_at(run for run in self._ids if run not in self._kept)
        there = [run for run in self._ids if run in self._kept or run in self._known]
        order = sorted(there, key=self._created, reverse=True)
        fitting = (
            order if fits is None else (r for r in order if fits(self._last_of(r)))
        )
        # Only those: checking a thousand journals takes 3 ms.
        return self.now(list(islice(fitting, most)))

    def size(self, run_id: str) -> int:
        """Return the bytes on disk of a finished run, which no longer change.

        `keep` stores sizes that had to be computed.
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
        """Store the sizes that had to be computed, if there are any."""
        if self._has_counted:
            write_cache(self._file, _HEAD, self._kept)

    def _last_of(self, run_id: str) -> RunSummary:
        """Return the summary of a run as it was when last read."""
        known = self._known.get(run_id)
        return _account(run_id, self._kept[run_id]) if known is None else known

    def _created(self, run_id: str) -> Tuple[float, str]:
        known = self._known.get(run_id)
        if known is not None:
            return _creation_key(known)
        return float(self._kept[run_id].split("\t", 2)[1]), run_id

    def now(self, run_ids: Sequence[str]) -> List[RunSummary]:
        """Return the current summaries of runs, in the given order."""
        for run_id in run_ids:
            if run_id not in self._known and run_id not in self._kept:
                continue
            run = self._known[run_id] = self._last_of(run_id)
            if run.outcome is None:
                # Before the journal is checked: an owner that ends a run releases it
                # afterwards.
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

        None if no run or several runs match.
        """
        if text == "@last":
            return next(iter(self.latest(most=1)), None)
        found = [run for run in self._ids if text and run.startswith(text)]
        return next(iter(self.now(found)), None) if len(found) == 1 else None

    def _look_at(self, run_ids: Iterable[str]) -> None:
        """Read journals that have grown, within the time limit; cache the results."""
        runs, fresh = str(self._folder.runs), 0
        for run_id in run_ids:
            # First the fingerprint: if the journal grows meanwhile, the next one
            # differs.
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
    """Whether its marker, or the lack of one, can change the status of the run."""
    if run.status == "incomplete":
        return True
    try:
        return run.status == "queued" and is_left_alone(folder)
    except OSError:
        return True  # the journal is checked in any case


def _creation_key(run: RunSummary) -> Tuple[float, str]:
    return run.created_at, run.id


def _row(stamp: str, run: RunSummary) -> str:
    """Return a summary as a line; its texts are escaped, so they contain no tab."""
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
