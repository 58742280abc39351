"""Inspects one journal: which part is intact, and where damage begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.base.safe_open import read_own, reader
from provctl.core.engine.state import State
from provctl.errors import JournalDamaged, JournalTooNew, ProvctlError
from provctl.storage.journal.file import JournalOffset, JournalReader
from provctl.storage.journal.replay import replay

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.events import Event
    from provctl.core.engine.state import RunState
    from provctl.storage.layout import RunDir


@light_dataclass
class Inspection:
    """The result of inspecting a journal.

    `verdict` is ok, torn (the last record was never acknowledged), damaged or newer.
    For damaged and newer, `problem` is the reason and `file` the file. `events` are the
    intact events without a gap, up to `end`; `run` is the state they lead to.
    `mendable`: the intact part is still a run.
    """

    verdict: str
    file: Path
    events: Sequence[Event]
    end: JournalOffset
    torn: int = 0
    run: Optional[RunState] = None
    problem: Optional[ProvctlError] = None
    mendable: bool = False


def inspect(folder: RunDir) -> Inspection:
    """Read and replay a journal and its workflow.json to the end; change nothing."""
    journal = JournalReader(folder.journal, folder.id)
    events: List[Event] = []
    problem: Optional[ProvctlError] = None
    try:
        journal.read_into(events)
        if not events:
            message = (
                f"{folder.journal}: damaged at record 1: it contains no complete record"
            )
            problem = JournalDamaged(message)
    except (JournalDamaged, JournalTooNew) as caught:
        problem = caught
    end = journal.position
    if not events:
        return Inspection(_verdict(problem), folder.journal, (), end, problem=problem)
    state = State(slots=0, capacity={})
    try:
        problem = _replay(state, folder, events) or problem
    except (JournalDamaged, JournalTooNew) as caught:
        return Inspection(
            _verdict(caught), folder.workflow, events, end, problem=caught
        )
    if len(events) < end.seq:
        end = _end_of(folder, len(events))
    torn = len(journal.torn)
    return Inspection(
        _verdict(problem, torn=torn),
        folder.journal,
        events,
        end,
        torn=torn,
        run=state.runs.get(folder.id),
        problem=problem,
        mendable=bool(events) and isinstance(problem, JournalDamaged),
    )


def _replay(
    state: State, folder: RunDir, events: List[Event]
) -> Optional[JournalDamaged]:
    """Replay the events that are legal; cut off the rest and return the damage.

    This damage comes before any that the reader found.
    """
    try:
        replay(state, folder, events)
    except JournalDamaged as problem:
        if not problem.record:
            raise  # damage of workflow.json
        del events[problem.record - 1 :]
        if events:
            replay(state, folder, events)
        return problem
    return None


def _verdict(problem: Optional[ProvctlError], *, torn: int = 0) -> str:
    if problem is not None:
        return "newer" if isinstance(problem, JournalTooNew) else "damaged"
    return "torn" if torn else "ok"


def _end_of(folder: RunDir, count: int) -> JournalOffset:
    """Return where the first `count` records end, which are known to be intact."""
    if not count:
        return JournalOffset()
    lines = read_own(folder.journal).split(b"\n", count)[:count]
    return JournalOffset(
        sum(len(line) + 1 for line in lines), count, lines[-1][-10:-2].decode("ascii")
    )


def records(folder: RunDir, start: int, end: int) -> List[Dict[str, Any]]:
    """Return the raw records between two offsets, which are known to be complete."""
    with reader(folder.journal) as file:
        file.seek(start)
        return [json.loads(line) for line in file.read(end - start).splitlines()]
