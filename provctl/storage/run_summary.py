"""The short account of a run: read from the ends of its journal, not replayed."""

from __future__ import annotations

import os
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional

from provctl.base.flock import is_locked
from provctl.base.safe_open import reader
from provctl.errors import JournalDamaged, JournalTooNew, ProvctlError
from provctl.storage.read_error import unreadable

if TYPE_CHECKING:
    from provctl.core.engine.events import RunSubmitted
    from provctl.storage.layout import RunDir, StateDir


_END = 8192  # bytes read at the end; the finish is shorter
_YOUNG_S = 60.0  # so young a run may be of one that is about to take it itself
_FIRST_MAX = 1 << 18  # bytes; so is the submission, whatever its labels


_NONE: Mapping[str, str] = MappingProxyType({})


class RunSummary(NamedTuple):
    """What lists show. `status` and `outcome` as in `core.engine.view.RunView`.

    Or "incomplete": the submitting process died before the run was handed over and
    before it printed the id; it only continues on request. Times are seconds since the
    epoch. `owned`: a process owns it now. `damage` says what is wrong with a journal
    that cannot be read; then the status is "damaged". A tuple, for lists make
    thousands, and a dataclass takes five times as long.
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
    labels: Mapping[str, str] = _NONE
    owned: bool = False
    damage: str = ""

    @property
    def status_word(self) -> str:
        """How it is, in one word."""
        return self.outcome or self.status


def summaries(folder: StateDir) -> List[RunSummary]:
    """Return the account of every run, oldest first; damaged ones included."""
    found = [summarise_or_damaged(folder.run(run_id)) for run_id in folder.run_ids()]
    return sorted(found, key=lambda run: (run.created_at, run.id))


def summarise_or_damaged(run: RunDir) -> RunSummary:
    """Return the account of one run, whatever is wrong with it."""
    try:
        return summarise(run)
    except ProvctlError as problem:
        damage, at = problem.message, _made_at(run)
        return RunSummary(run.id, "?", "damaged", None, at, damage=damage)


def summarise(folder: RunDir) -> RunSummary:
    """Return the account of one run. Raises JournalDamaged, JournalTooNew.

    It looks at the first and the last record; only of a run that is under way
    also for what kinds of records are in between.
    """
    try:
        with reader(folder.journal) as file:
            first = _first_record(folder, file.readline(_FIRST_MAX))
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _END))
            last = _last_record(file.read())
            over = last.get("type") == "run_finished"
            file.seek(0)
            status = "finished" if over else _under_way(folder, file.read())
        owned = not over and is_locked(folder.lock)
        if not over and not owned:
            folder.check_lock()
        if status == "queued" and not owned and looks_incomplete(folder):
            with folder.state.no_submitters() as alone:
                status = "incomplete" if alone else status
    except OSError as problem:
        raise unreadable(folder.journal, problem) from problem
    return RunSummary(
        id=folder.id,
        name=first["name"],
        status=status,
        outcome=last["outcome"] if over else None,
        created_at=first["at"],
        finished_at=last["at"] if over else None,
        tasks=first["tasks"],
        priority=first.get("priority", 0),
        batch=first.get("batch"),
        labels=first.get("labels", {}),
        owned=owned,
    )


def is_incomplete(folder: RunDir) -> bool:
    """Whether that is the status of a run; not if it cannot be read."""
    return summarise_or_damaged(folder).status == "incomplete"


def looks_incomplete(folder: RunDir) -> bool:
    """Whether of a run there is only its submission, not just now, and no marker.

    Then it is incomplete unless it has an owner, or somebody submits still. Raises
    OSError.
    """
    if not is_left_alone(folder):
        return False
    with reader(folder.journal) as file:
        return file.read(_FIRST_MAX + 1).count(b"\n") == 1


def is_left_alone(folder: RunDir) -> bool:
    """Whether a run has no marker and its journal did not change just now."""
    if os.path.lexists(folder.marker):
        return False
    age_s = time.time() - folder.journal.stat().st_mtime  # noqa: TID251
    return age_s > _YOUNG_S


def journal_fingerprint(runs: str, run_id: str) -> str:
    """Return a fingerprint of the journal of a run in the folder `runs`, "" if none.

    To `stat`, that is. A journal only ever grows: what looks the same says the same.
    """
    path = f"{runs}/{run_id}/journal.jsonl"
    try:
        about = os.stat(path)  # noqa: PTH116  # of thousands, and a Path costs as much
    except OSError:
        return ""
    return f"{about.st_mtime_ns} {about.st_size} {about.st_ino}"


def read_submission(folder: RunDir) -> RunSubmitted:
    """Return how a run was submitted. Raises JournalDamaged, JournalTooNew."""
    from provctl.core.engine.events import RunSubmitted
    from provctl.storage.journal.codec import decode

    try:
        with reader(folder.journal) as file:
            head = file.readline(_FIRST_MAX)
    except OSError as problem:
        raise unreadable(folder.journal, problem) from problem
    _first_record(folder, head)
    event = decode(head.partition(b"\n")[0], folder.id).event
    assert isinstance(event, RunSubmitted)
    return event


def _under_way(folder: RunDir, data: bytes) -> str:
    """A word for an unfinished run, as `RunState.status` has it."""
    import re
    from collections import Counter

    found = re.findall(_KIND, data, re.MULTILINE)
    kinds = Counter(found[_place_of_last(found, b"run_finished") :])
    if kinds[b"task_held"] > kinds[b"task_resolved"]:
        return _replay_status(folder)  # held or not depends on all the others
    cancelled, undone = (
        _place_of_last(found, w + b"_requested") for w in (b"cancel", b"rollback")
    )
    if kinds[b"cancel_requested"] and cancelled > undone:
        return "cancelling"  # not any more where the cancel led to a rollback
    paused, resumed = (
        _place_of_last(found, b"run_" + w) for w in (b"paused", b"resumed")
    )
    if kinds[b"run_paused"] and paused > resumed:
        return "paused"
    if kinds[b"rollback_requested"]:
        return "rolling_back"
    begun = kinds[b"attempt_started"] or kinds[b"group_started"]
    return "running" if begun else "queued"


def _place_of_last(found: List[bytes], kind: bytes) -> int:
    """The number of records up to the last of a kind, 0 if there is none."""
    return len(found) - found[::-1].index(kind) if kind in found else 0


# At the start of a line only: what a task returns may look alike.
_KIND = rb'^{"v":\d+,"seq":\d+,"dur":\d+,"type":"(\w+)"'


def _replay_status(folder: RunDir) -> str:
    from provctl.core.engine.state import State
    from provctl.storage.journal.replay import read_run

    state = State(slots=0, capacity={})
    read_run(state, folder)
    return state.runs[folder.id].status


# What follows needs JSON: to import that takes as long as to list a thousand runs that
# are known.


def _first_record(folder: RunDir, head: bytes) -> Dict[str, Any]:
    from provctl.storage.journal.codec import NewerFormat, check_run, unseal

    try:
        record, _ = unseal(head.partition(b"\n")[0])
        check_run(record, folder.id)
    except NewerFormat as newer:
        message = f"{folder.journal}: {newer}"
        raise JournalTooNew(message) from None
    except ValueError as problem:
        message = f"{folder.journal}: damaged at record 1: {problem}"
        raise JournalDamaged(message) from None
    if record.get("type") != "run_submitted":
        message = f"{folder.journal}: its first record is not the submission"
        raise JournalDamaged(message)
    return record


def _last_record(tail: bytes) -> Dict[str, Any]:
    """The last whole line; a torn one behind it is not looked at."""
    from provctl.storage.journal.codec import NewerFormat, unseal

    whole = tail[: tail.rfind(b"\n") + 1]
    try:
        record, _ = unseal(whole[:-1].rpartition(b"\n")[2])
    except (ValueError, NewerFormat):
        return {}
    return record


def _made_at(folder: RunDir) -> float:
    try:
        return folder.path.stat().st_mtime
    except OSError:
        return 0.0
