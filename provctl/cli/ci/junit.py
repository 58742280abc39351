"""JUnit XML of a run: tasks as test cases, failed attempts as faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Sequence

from provctl.base.timefmt import format_iso
from provctl.core.model.workflow import SubWorkflow
from provctl.render.text import humanize, sanitize

if TYPE_CHECKING:
    from provctl.cli.ci.summary import RunSummaryReport
    from provctl.core.engine.state import TaskState
    from provctl.render.junit_xml import JUnitFailure, JUnitTestCase, JUnitTestSuite
    from provctl.runs.history.attempts import Attempt
    from provctl.storage.layout import RunDir


_LOG_LINES = 100


def junit_suite(course: RunSummaryReport) -> JUnitTestSuite:
    """Return the JUnit data of a run."""
    from provctl.render.junit_xml import JUnitTestSuite

    folder, run, attempts = course.folder, course.run, course.attempts
    own: Dict[str, List[Attempt]] = {}
    for each in attempts:
        if each.purpose == "run" and each.outcome not in (None, "voided"):
            own.setdefault(each.task, []).append(each)
    began = run.started_at or run.submitted.at
    return JUnitTestSuite(
        name=sanitize(run.submitted.name),
        run=folder.id,
        began=format_iso(began) or "",
        took_s=(run.finished_at or run.last_at) - began,
        cases=[
            _case(course, task, own.get(name, []))
            for name, task in run.tasks.items()
            if not isinstance(task.task.action, SubWorkflow)
        ],
    )


def _case(
    course: RunSummaryReport, task: TaskState, attempts: Sequence[Attempt]
) -> JUnitTestCase:
    from provctl.render.junit_xml import JUnitTestCase

    last = attempts[-1] if attempts else None
    took_s = 0.0
    if last is not None and last.finished_at is not None:
        took_s = last.finished_at - last.started_at
    return JUnitTestCase(
        name=task.task.id,
        outcome=task.outcome_before_undo or task.outcome or "waiting",
        took_s=max(took_s, 0.0),
        message=sanitize(course.unattended.get(task.task.id, task.reason)),
        faults=[
            _fault(course.folder, task, t) for t in attempts if t.outcome != "succeeded"
        ],
    )


def _fault(folder: RunDir, task: TaskState, one: Attempt) -> JUnitFailure:
    from provctl.render.junit_xml import JUnitFailure
    from provctl.runs.log_tail import last_lines

    outcome = one.outcome or ""
    log = last_lines(folder.log_of(task.task.index, one.attempt), _LOG_LINES)
    text = "\n".join(map(sanitize, log))
    why = sanitize(one.reason) or humanize(outcome)
    return JUnitFailure(outcome, why, text)
