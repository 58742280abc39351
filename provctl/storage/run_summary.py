"""Summarises a run from the ends of its journal, without replay."""

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
_YOUNG_S = 60.0  # a run this young may belong to a command that is about to own it
_FIRST_MAX = 1 << 18  # bytes; the submission is at most this long, whatever its labels


_NONE: Mapping[str, str] = MappingProxyType({})


class RunSummary(NamedTuple):
    """What lists show. `status` and `outcome` are those of `core.engine.view.RunView`.

    The status can also be "incomplete": the submitting process died before it handed
    the run over and before it printed the id. Such a run only continues on request.
    Times are in seconds since the epoch. `owned`: a process owns the run now. `damage`
    describes what is wrong with an unreadable journal; then the status is "damaged". It
    is a tuple because lists create thousands, and a dataclass takes five times as long.
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
        """The outcome or status of the run, in one word."""
        return self.outcome or self.status


def summaries(folder: StateDir) -> List[RunSummary]:
    """Return the summary of every run, oldest first, including damaged ones."""
    found = [summarise_or_damaged(folder.run(run_id)) for run_id in folder.run_ids()]
    return sorted(found, key=lambda run: (run.created_at, run.id))


def summarise_or_damaged(run: RunDir) -> RunSummary:
    """Return the summary of one run, even if it is damaged."""
    try:
        return summarise(run)
    except ProvctlError as problem:
        damage, at = problem.message, _made_at(run)
        return RunSummary(run.id, "?", "damaged", None, at, damage=damage)


def summarise(folder: RunDir) -> RunSummary:
    """Return the summary of one run. Raises JournalDamaged, JournalTooNew.

    It reads the first and the last record. Only for an unfinished run it also reads the
    types of the records between them.
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
    """Whether the status of a run is incomplete; False if it cannot be read."""
    return summarise_or_damaged(folder).status == "incomplete"


def looks_incomplete(folder: RunDir) -> bool:
    """Whether a run has only its submission, is not new, and has no marker.

    Then it is incomplete, unless it has an owner or a submission is in progress. Raises
    OSError.
    """
    if not is_left_alone(folder):
        return False
    with reader(folder.journal) as file:
        return file.read(_FIRST_MAX + 1).count(b"\n") == 1


def is_left_alone(folder: RunDir) -> bool:
    """Whether a run has no marker and its journal did not change recently."""
    if os.path.lexists(folder.marker):
        return False
    age_s = time.time() - folder.journal.stat().st_mtime  # noqa: TID251
    return age_s > _YOUNG_S


def journal_fingerprint(runs: str, run_id: str) -> str:
    """Return a fingerprint of the journal of a run in the folder `runs`, "" if none.

    It comes from `stat`. A journal only grows, so the same fingerprint means the same
    content.
    """
    path = f"{runs}/{run_id}/journal.jsonl"
    try:
        about = os.stat(path)  # noqa: PTH116  # thousands of calls: Path is slow
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
    """Return the status of an unfinished run, as in `RunState.status`."""
    import re
    from collections import Counter

    found = re.findall(_KIND, data, re.MULTILINE)
    kinds = Counter(found[_place_of_last(found, b"run_finished") :])
    if kinds[b"task_held"] > kinds[b"task_resolved"]:
        return _replay_status(folder)  # on hold or not depends on all tasks
    cancelled, undone = (
        _place_of_last(found, w + b"_requested") for w in (b"cancel", b"rollback")
    )
    if kinds[b"cancel_requested"] and cancelled > undone:
        return "cancelling"  # no longer, if a rollback followed the cancel
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
    """Return the number of records up to the last of a kind, 0 if there is none."""
    return len(found) - found[::-1].index(kind) if kind in found else 0


# Only at the start of a line: the output of a task may contain the same text.
_KIND = rb'^{"v":\d+,"seq":\d+,"dur":\d+,"type":"(\w+)"'


def _replay_status(folder: RunDir) -> str:
    from provctl.core.engine.state import State
    from provctl.storage.journal.replay import read_run

    state = State(slots=0, capacity={})
    read_run(state, folder)
    return state.runs[folder.id].status


# The code below needs JSON. Importing it takes as long as listing a thousand runs whose
# summaries are cached.


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
    """Return the last complete line; a torn one after it is ignored."""
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
