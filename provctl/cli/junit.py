"""Owns what JUnit's XML says of a run: tasks as cases, tries that failed as faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Sequence

from provctl.cli.times import iso
from provctl.core.model import Group
from provctl.ui.lines import neutralise, words

if TYPE_CHECKING:
    from provctl.app.tries import Try
    from provctl.cli.summary import Course
    from provctl.core.state import TaskState
    from provctl.journal.folder import RunFolder
    from provctl.ui.junit import Case, Fault, Suite

__all__ = ["suite_of"]

_LOG_LINES = 100


def suite_of(course: Course) -> Suite:
    """Return what the file is to say of a run."""
    from provctl.ui.junit import Suite

    folder, run, tries = course.folder, course.run, course.tries
    own: Dict[str, List[Try]] = {}
    for each in tries:
        if each.purpose == "run" and each.outcome not in (None, "voided"):
            own.setdefault(each.task, []).append(each)
    began = run.started_at or run.submitted.at
    return Suite(
        name=neutralise(run.submitted.name),
        run=folder.id,
        began=iso(began) or "",
        took_s=(run.finished_at or run.last_at) - began,
        cases=[
            _case(course, task, own.get(name, []))
            for name, task in run.tasks.items()
            if not isinstance(task.task.action, Group)
        ],
    )


def _case(course: Course, task: TaskState, tries: Sequence[Try]) -> Case:
    from provctl.ui.junit import Case

    last = tries[-1] if tries else None
    took_s = 0.0
    if last is not None and last.finished_at is not None:
        took_s = last.finished_at - last.started_at
    return Case(
        name=task.task.id,
        outcome=task.did or task.outcome or "waiting",
        took_s=max(took_s, 0.0),
        message=neutralise(course.unattended.get(task.task.id, task.reason)),
        faults=[
            _fault(course.folder, task, t) for t in tries if t.outcome != "succeeded"
        ],
    )


def _fault(folder: RunFolder, task: TaskState, one: Try) -> Fault:
    from provctl.app.log_end import last_lines
    from provctl.ui.junit import Fault

    outcome = one.outcome or ""
    log = last_lines(folder.log_of(task.task.index, one.attempt), _LOG_LINES)
    text = "\n".join(map(neutralise, log))
    why = neutralise(one.reason) or words(outcome)
    return Fault(outcome, why, text)
