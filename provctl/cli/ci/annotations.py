"""Annotations for CI systems that show them at lines of files: mistakes and failures.

GitHub shows ten of each kind per step. The tenth summarizes all that remain.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Mapping, Sequence, Tuple

import click

from provctl.core.model.status import NEEDS_ATTENTION
from provctl.render.ci_dialects import Annotation, detect_ci_log_format
from provctl.render.text import humanize, sanitize

if TYPE_CHECKING:
    from provctl.cli.ci.summary import RunSummaryReport
    from provctl.cli.session import Session
    from provctl.core.engine.state import TaskState
    from provctl.errors import Diagnostic


_MOST = 10
_LOG_LINES = 3
_Where = Tuple[str, int, int]  # file, line, column


def annotate_mistakes(
    environ: Mapping[str, str], mistakes: Sequence[Diagnostic]
) -> None:
    """Print an annotation for each mistake in a workflow file on stderr, if supported.

    Equal mistakes have one annotation.
    """
    dialect = detect_ci_log_format(environ)
    if not dialect.annotates:
        return
    from provctl.workflow_files.diagnostics import group_similar, remaining_count

    remarks = [
        Annotation(
            "error",
            "mistake",
            "\n".join(
                map(sanitize, [*_lines_of(group[0]), remaining_count(group)])
            ).rstrip(),
            _in_workspace(group[0].file, environ),
            group[0].line,
            group[0].column,
        )
        for group in group_similar(mistakes)
    ]
    for remark in _limit(remarks):
        click.echo(dialect.annotation(remark), err=True)


def _lines_of(mistake: Diagnostic) -> List[str]:
    return [*mistake.message.splitlines(), *mistake.hint.splitlines()]


def annotate_runs(session: Session, courses: Sequence[RunSummaryReport]) -> None:
    """Print an annotation for each task that failed or is flaky.

    Tasks that failed by themselves come first, in the order of their failures.
    """
    dialect = detect_ci_log_format(session.environ)
    if not dialect.annotates:
        return
    errors: List[Annotation] = []
    warnings: List[Annotation] = []
    for course in courses:
        failures, flaky = _failures(course), _flaky(course)
        shown = [*list(failures)[:_MOST], *list(flaky)[:_MOST]]
        places = _places(session, course, shown)
        errors += _annotations("error", failures, places)
        warnings += _annotations("warning", flaky, places)
    stream = sys.stdout if session.output == "table" else sys.stderr
    for each in [*_limit(errors), *_limit(warnings)]:
        click.echo(dialect.annotation(each), file=stream)


def _annotations(
    level: str, said: Mapping[str, Tuple[str, str]], places: Mapping[str, _Where]
) -> List[Annotation]:
    nowhere = places[""]
    return [
        Annotation(level, title, why, *places.get(task, nowhere))
        for task, (title, why) in said.items()
    ]


def _limit(remarks: Sequence[Annotation]) -> List[Annotation]:
    """As many as are shown; the last one counts the others."""
    if len(remarks) <= _MOST:
        return list(remarks)
    others = remarks[_MOST - 1 :]
    message = "\n".join(f"{each.title}: {each.message}" for each in others[:100])
    last = Annotation(others[0].level, f"and {len(others)} more", message[:4000])
    return [*remarks[: _MOST - 1], last]


def _failures(course: RunSummaryReport) -> Dict[str, Tuple[str, str]]:
    """Title and text about tasks that failed or are held."""
    return {
        task.task.id: (
            f"{task.task.id} {humanize(task.outcome or task.status)}",
            _why(course, task),
        )
        for task in course.run.tasks_needing_attention()
    }


def _flaky(course: RunSummaryReport) -> Dict[str, Tuple[str, str]]:
    """Title and text about tasks that succeeded after they had failed."""
    found = {}
    for each in course.attempts:
        task = course.run.tasks[each.task]
        failed = each.outcome in NEEDS_ATTENTION and each.purpose == "run"
        if failed and (task.outcome_before_undo or task.outcome) == "succeeded":
            why = each.reason or humanize(each.outcome or "")
            notes = (
                f"succeeded on attempt {task.counted_attempts}; earlier attempts: {why}"
            )
            found[each.task] = (f"{each.task} is flaky", notes)
    return found


def _why(course: RunSummaryReport, task: TaskState) -> str:
    """The reason of a failure, and the last lines of its log."""
    from provctl.core.engine.view import task_view
    from provctl.render.text import describe_task, elapsed
    from provctl.runs.log_tail import last_lines

    took = elapsed(task.started_at, task.finished_at)
    reason = describe_task(task_view(task), now=0.0, took=took)
    log = course.folder.log_of(task.task.index, task.attempt)
    lines = (sanitize(line, limit=300) for line in last_lines(log, _LOG_LINES))
    return "\n".join([reason, *lines])


def _places(
    session: Session, course: RunSummaryReport, ids: Sequence[str]
) -> Mapping[str, _Where]:
    """The locations of tasks in the workflow file, if it still exists."""
    environ, workflow = session.environ, course.run.workflow
    found: Dict[str, _Where] = {"": (_in_workspace(workflow.source, environ), 0, 0)}
    if ids and workflow.source:
        from provctl.runs.load_context import make_context
        from provctl.workflow_files.task_locations import locate_tasks

        context = make_context(session.loaded.settings, environ, Path.cwd())
        file = Path(workflow.source)
        places = locate_tasks(file, workflow.params, ids, context=context)
        for task, at in places.items():
            found[task] = (_in_workspace(at.file, environ), at.line, at.column)
    return found


def _in_workspace(file: str, environ: Mapping[str, str]) -> str:
    """The path of a file relative to the repository; unchanged if it is outside."""
    root = environ.get("GITHUB_WORKSPACE")
    if not root or not file:
        return file
    whole = os.path.realpath(file)
    inside = os.path.relpath(whole, os.path.realpath(root))
    return file if Path(inside).parts[0] == os.pardir else inside
