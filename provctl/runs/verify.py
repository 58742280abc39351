"""Verifies a whole run: its journal, and the exit records of its attempts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Iterator, List, Optional, Set, Tuple, Union

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.events import AttemptFinished, ProbeDue, TaskHeld
from provctl.core.engine.requests import NeverStartedReport
from provctl.errors import JournalDamaged, JournalTooNew
from provctl.executors.protocol import AttemptRef, AttemptStore
from provctl.runs.attempt_store import attempt_store
from provctl.storage.journal.inspect import Inspection, inspect

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.requests import ExitedReport
    from provctl.core.engine.state import RunState
    from provctl.core.model.attempt_result import AttemptResult
    from provctl.storage.layout import RunDir
    from provctl.storage.schedules import Schedules


_FILE = re.compile(r"(\d+)\.(\d+)([up]?)\.(?:go|in|log|out|grant)")
_PURPOSES = {"": "run", "u": "undo", "p": "probe"}


@light_dataclass
class VerifyResult:
    """The verdict about a run, or about a schedule if `kind` is "schedule".

    `verdict` is that of `storage.journal.inspect.Inspection`. A run whose exit records
    contradict its journal is damaged too. `attempts` counts the exit records that were
    compared. `file`, `offset` and `record` locate the damage, if there is any.
    """

    run: str
    verdict: str
    records: int
    attempts: int = 0
    file: str = ""
    offset: int = 0
    record: int = 0
    problem: str = ""
    mendable: bool = False
    kind: str = "run"


def verify_schedule(schedules: Schedules, name: str) -> VerifyResult:
    """Check the files of a schedule. Raises NotFound, StateDirError."""
    verdict, problem, kind = "ok", "", "schedule"
    try:
        schedules.past(schedules.read(name))
    except (JournalDamaged, JournalTooNew) as caught:
        verdict = "newer" if isinstance(caught, JournalTooNew) else "damaged"
        problem = caught.message
    return VerifyResult(name, verdict, records=0, problem=problem, kind=kind)


def verify(folder: RunDir) -> VerifyResult:
    """Check a run without changing anything."""
    finding = inspect(folder)
    count = len(finding.events)
    if finding.problem is not None:
        in_journal = finding.file == folder.journal
        return VerifyResult(
            folder.id,
            finding.verdict,
            count,
            file=str(finding.file),
            offset=finding.end.offset if in_journal else 0,
            record=count + 1 if in_journal else 0,
            problem=finding.problem.message,
            mendable=finding.mendable,
        )
    compared, faults = _compare(folder, finding)
    try:
        folder.check_lock()
    except JournalDamaged as problem:
        faults.append((folder.lock, problem.message))
    if faults:
        path, message = faults[0]
        return VerifyResult(
            folder.id, "damaged", count, compared, file=str(path), problem=message
        )
    torn = f"{finding.torn} bytes of an incomplete last record"
    return VerifyResult(
        folder.id,
        finding.verdict,
        count,
        compared,
        problem=torn if finding.torn else "",
    )


def unknown_attempts(folder: RunDir, finding: Inspection) -> List[Tuple[str, int, str]]:
    """Return the attempts that the journal lacks: task, number, state."""
    assert finding.run is not None
    known = _known(finding)
    found = []
    store = attempt_store()
    for place in _places(folder, finding.run):
        if (place.task, place.attempt) in known or not _has_started(store, place):
            continue
        found.append((place.task, place.attempt, _attempt_state(store, place)))
    return found


def _has_started(store: AttemptStore, place: AttemptRef) -> bool:
    return store.is_claimed(place) or store.has_evidence(place)


def _attempt_state(store: AttemptStore, place: AttemptRef) -> str:
    if store.is_running(place):
        return "still running"
    ended = store.exit_report(place)
    remote = store.remote_status(place)
    if remote:
        return remote
    if ended is None and not store.is_claimed(place):
        return "its exit record is missing"
    if ended is None:
        return "its supervisor died"
    if isinstance(ended, NeverStartedReport):
        return f"never started: {ended.reason}"
    return f"finished with {_end(ended.result)}"


def _compare(folder: RunDir, finding: Inspection) -> Tuple[int, List[Tuple[Path, str]]]:
    """Compare exit records with the journal; return their count and the differences."""
    run = finding.run
    assert run is not None
    ends = [e for e in finding.events if isinstance(e, AttemptFinished)]
    events = {(event.task, event.attempt): event for event in ends}
    held = {
        (event.task, event.attempt)
        for event in finding.events
        if isinstance(event, (TaskHeld, ProbeDue))
    }
    known = _known(finding)
    compared = 0
    faults = []
    store = attempt_store()
    for place in _places(folder, run):
        key = (place.task, place.attempt)
        file = store.location(place)
        try:
            ended = store.exit_report(place)
        except JournalDamaged as problem:
            faults.append((file, problem.message))
            continue
        if key in events:
            compared += 1
            fault = _fault(store, events[key], ended, place)
        elif ended is not None and run.outcome is not None and key not in known:
            fault = "the run has finished, but this attempt is not in its journal"
        elif (
            ended is None and key in known - held and _has_lost_its_record(store, place)
        ):
            fault = "its exit record is missing"
        else:
            fault = ""
        if fault:
            faults.append((file, f"{file}: {fault}"))
    return compared, faults


def _has_lost_its_record(store: AttemptStore, place: AttemptRef) -> bool:
    return not store.is_claimed(place) and store.has_evidence(place)


def _fault(
    store: AttemptStore,
    event: AttemptFinished,
    ended: Optional[Union[ExitedReport, NeverStartedReport]],
    place: AttemptRef,
) -> str:
    told = event.result
    says = _end(told)
    if ended is None or isinstance(ended, NeverStartedReport):
        # The result of a lost or fenced attempt is unknown, so there is none to
        # compare.
        silent = told.exit_code is None and told.signal is None
        in_doubt = silent or store.is_running(place)
        return (
            "" if in_doubt else f"no complete exit record, but the journal has {says}"
        )
    found = ended.result
    same = (told.exit_code, told.signal) == (found.exit_code, found.signal)
    if same and told.finished_at == found.finished_at:
        return ""
    when = " at another time" if same else ""
    return f"exit record: {_end(found)}{when}; journal: {event.outcome}, {says}"


def _end(result: AttemptResult) -> str:
    if result.signal is not None:
        return f"signal {result.signal}"
    return f"exit code {result.exit_code}"


def _known(finding: Inspection) -> Set[Tuple[str, int]]:
    return {
        (event.task, event.attempt)
        for event in finding.events
        if hasattr(event, "task") and hasattr(event, "attempt")
    }


def _places(folder: RunDir, run: RunState) -> Iterator[AttemptRef]:
    """Return every attempt that has a file, ordered by task and attempt."""
    try:
        names = [path.name for path in folder.attempts.iterdir()]
    except OSError:
        return
    matches = filter(None, map(_FILE.fullmatch, names))
    for index, attempt, letter in sorted(
        {(int(match[1]), int(match[2]), match[3]) for match in matches}
    ):
        if index < len(run.workflow.tasks):
            task = run.workflow.tasks[index].id
            purpose = _PURPOSES[letter]
            yield AttemptRef(folder.id, task, attempt, folder.attempts, index, purpose)
