"""Retention: which runs are removed, and how each is removed completely.

Only finished runs are removed, and runs that have been incomplete for long. A run that
is owned, pinned or unreadable is never removed. Before its files are deleted, a run is
renamed, so it exists completely or not at all. A later sweep deletes what a killed
process left half deleted.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.labels import fit_all
from provctl.errors import ProvctlError, StateDirError
from provctl.storage.create_run import draft_owner_pid
from provctl.storage.layout import fsync_dir
from provctl.storage.lock import Lock, is_process
from provctl.storage.run_summary import looks_incomplete, summarise

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.labels import Condition
    from provctl.storage.layout import StateDir
    from provctl.storage.run_summary import RunSummary


_GONE = ".gone-"
# A marker this young may belong to a run that its owner is about to acquire. A draft
# this young may belong to a process that is not visible from here.
_YOUNG_S = 60.0
_INCOMPLETE_S = 86_400.0  # age at which incomplete runs are removed
_AT_ONCE = 50  # runs that are locked together; each needs a descriptor


@light_dataclass
class RetentionPolicy:
    """Which runs stay. None means no limit.

    `keep` protects this many of the latest runs, whatever the other limits are. Of the
    rest, runs are removed that finished more than `older_s` seconds ago, and the oldest
    runs until all runs together take at most `max_size` bytes. With neither limit, all
    of the rest are removed. With `labels`, all of this applies only to runs that have
    these labels.
    """

    older_s: Optional[float] = None
    keep: Optional[int] = None
    max_size: Optional[int] = None
    labels: Tuple[Condition, ...] = ()


@light_dataclass
class PruneCandidate:
    """A run to remove, how many bytes that frees, and why."""

    run: RunSummary
    size: int
    why: str


def select_for_removal(
    folder: StateDir,
    runs: Iterable[RunSummary],
    limits: RetentionPolicy,
    now: float,
    size: Callable[[str], int],
) -> List[PruneCandidate]:
    """Return the runs to remove, oldest first; `size` returns the bytes of a run.

    Runs that have been incomplete for a day are included. Of the limits, only labels
    apply to them.
    """
    runs = [run for run in runs if fit_all(limits.labels, run.labels)]
    pinned = folder.pinned()
    finished = [run for run in runs if run.outcome is not None]
    latest_first = sorted(finished, key=_finished_at, reverse=True)
    removable = [
        run for run in latest_first[limits.keep or 0 :] if run.id not in pinned
    ]
    incomplete = [
        PruneCandidate(run, size(run.id), "incomplete")
        for run in runs
        if run.status == "incomplete"
        and run.created_at < now - _INCOMPLETE_S
        and run.id not in pinned
    ]
    excess = 0
    if limits.max_size is not None:
        excess = sum(size(run.id) for run in runs) - limits.max_size
    chosen = []
    for run in reversed(removable):
        why = _why(run, limits, now, excess=excess)
        if why:
            bytes_ = size(run.id)
            excess -= bytes_
            chosen.append(PruneCandidate(run, bytes_, why))
    return incomplete + chosen


def _why(run: RunSummary, limits: RetentionPolicy, now: float, *, excess: int) -> str:
    if limits.older_s is not None and _finished_at(run) < now - limits.older_s:
        return "older"
    if limits.max_size is not None and excess > 0:
        return "size"
    beyond = limits.older_s is None and limits.max_size is None
    return "keep" if beyond else ""


def _finished_at(run: RunSummary) -> float:
    return run.finished_at or run.created_at


def remove(folder: StateDir, run_ids: Iterable[str]) -> List[str]:
    """Remove finished and incomplete runs; return those that are removed.

    A run that got an owner or continued since it was chosen stays. Raises
    StateDirError.
    """
    wanted = list(run_ids)
    gone: List[str] = []
    for start in range(0, len(wanted), _AT_ONCE):
        gone += _remove_together(folder, wanted[start : start + _AT_ONCE])
    return gone


def _remove_together(folder: StateDir, run_ids: Iterable[str]) -> List[str]:
    held: List[Lock] = []
    gone: Dict[str, Path] = {}
    try:
        for run_id in run_ids:
            run = folder.run(run_id)
            lock = Lock.acquire(run.lock)
            if lock is None:
                continue
            held.append(lock)
            aside = folder.runs / f"{_GONE}{run_id}-{os.urandom(4).hex()}"
            if _has_finished(folder, run_id):
                run.path.rename(aside)
                gone[run_id] = aside
                continue
            with folder.no_submitters() as alone:
                # Nothing is removed from a run whose submission is still in progress.
                if alone and looks_incomplete(run):
                    run.path.rename(aside)
                    gone[run_id] = aside
        # The renames are on disk before files are deleted, so that a power cut cannot
        # restore a half deleted run.
        fsync_dir(folder.runs)
        for run_id, path in gone.items():
            folder.dequeue(run_id)
            shutil.rmtree(str(path))
    except OSError as problem:
        message = f"{problem.filename or folder.runs}: {problem.strerror}"
        raise StateDirError(message) from problem
    finally:
        for lock in held:
            lock.release()
    return list(gone)


def _has_finished(folder: StateDir, run_id: str) -> bool:
    try:
        return summarise(folder.run(run_id)).outcome is not None
    except ProvctlError:
        return False


def list_orphans(folder: StateDir, now: float) -> List[Path]:
    """Return the leftovers of dead processes, and markers of runs that need none."""
    try:
        hidden = [path for path in folder.runs.iterdir() if path.name.startswith(".")]
    except OSError:
        hidden = []
    found = [path for path in hidden if _is_left(path, now)]
    for run_id in folder.queued():
        marker = folder.queue / run_id
        if _age(marker, now) > _YOUNG_S and _needs_no_marker(folder, run_id):
            found.append(marker)
    return sorted(found)


def remove_orphans(paths: Iterable[Path]) -> None:
    """Delete leftovers."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(str(path), ignore_errors=True)
        else:
            path.unlink()


def _is_left(path: Path, now: float) -> bool:
    """Whether it is a leftover: partly removed, or the draft of a dead process."""
    maker = draft_owner_pid(path.name)
    if maker is None:
        return path.name.startswith(_GONE)
    if _age(path, now) <= _YOUNG_S:
        return False
    return not is_process(maker)


def _needs_no_marker(folder: StateDir, run_id: str) -> bool:
    return not folder.run(run_id).path.is_dir() or _has_finished(folder, run_id)


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0
