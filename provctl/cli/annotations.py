"""Owns remarks for CI systems that show them at the lines of files: mistakes, failures.

GitHub shows ten of a kind in a step. So what comes after nine is told in one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Mapping, Sequence, Tuple

import click

from provctl.ui.dialects import Annotation, dialect_of
from provctl.ui.lines import neutralise, words

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.cli.summary import Account
    from provctl.core.state import TaskState
    from provctl.errors import Mistake
    from provctl.spec.problems import Place

__all__ = ["annotate_mistakes", "annotate_runs"]

_MOST = 10
_LOG_LINES = 3
_BAD = {"failed", "timed_out", "lost", "interrupted", "undo_failed"}


def annotate_mistakes(environ: Mapping[str, str], mistakes: Sequence[Mistake]) -> None:
    """Print a remark for each mistake in a workflow file, on stderr, if they are shown."""
    dialect = dialect_of(environ)
    if not dialect.annotates:
        return
    remarks = [
        Annotation(
            "error",
            "workflow file",
            "\n".join(map(neutralise, _lines_of(mistake))),
            _in_workspace(mistake.file, environ),
            mistake.line,
            mistake.column,
        )
        for mistake in mistakes
    ]
    for remark in _bounded(remarks):
        click.echo(dialect.annotation(remark), err=True)


def _lines_of(mistake: Mistake) -> List[str]:
    return [*mistake.message.splitlines(), *mistake.hint.splitlines()]


def annotate_runs(session: Session, accounts: Sequence[Account]) -> None:
    """Print a remark for each task that failed, or only succeeded after it had failed.

    Those come first that failed by themselves, in the order in which they did.
    """
    dialect = dialect_of(session.environ)
    if not dialect.annotates:
        return
    errors: List[Annotation] = []
    warnings: List[Annotation] = []
    for account in accounts:
        tasks = _remarkable(account)
        places = _places(session, account, [task.task.id for task, _ in tasks])
        for task, why in tasks:
            file = account.run.workflow.source
            place = places.get(task.task.id)
            bad = task.outcome in _BAD or task.status == "held"
            remark = Annotation(
                "error" if bad else "warning",
                f"{task.task.id} {words(task.outcome or task.status)}"
                if bad
                else f"{task.task.id} is flaky",
                why,
                _in_workspace(place.file if place else file, session.environ),
                place.line if place else 0,
                place.column if place else 0,
            )
            (errors if bad else warnings).append(remark)
    stream = sys.stdout if session.output == "table" else sys.stderr
    for remark in [*_bounded(errors), *_bounded(warnings)]:
        click.echo(dialect.annotation(remark), file=stream)


def _bounded(remarks: Sequence[Annotation]) -> List[Annotation]:
    """As many as are shown, the last of them about all the others."""
    if len(remarks) <= _MOST:
        return list(remarks)
    others = remarks[_MOST - 1 :]
    told = "\n".join(f"{each.title}: {each.message}" for each in others[:100])
    last = Annotation(others[0].level, f"and {len(others)} more", told[:4000])
    return [*remarks[: _MOST - 1], last]


def _remarkable(account: Account) -> List[Tuple[TaskState, str]]:
    """Tasks with what there is to say of them: what failed by itself comes first."""
    from provctl.core.model import Group

    run = account.run
    tasks = [t for t in run.tasks.values() if not isinstance(t.task.action, Group)]
    bad = [t for t in tasks if t.outcome in _BAD or t.status == "held"]
    bad.sort(key=lambda task: (not task.attempt, task.finished_at or run.last_at))
    tried: Dict[str, List[str]] = {}
    for each in account.tries:
        if each.outcome in _BAD and each.purpose == "run":
            tried.setdefault(each.task, []).append(each.reason or words(each.outcome))
    flaky = [
        (
            task,
            f"succeeded at attempt {task.tries}, before that: {tried[task.task.id][-1]}",
        )
        for task in tasks
        if task.outcome == "succeeded" and task.task.id in tried
    ]
    return [*((task, _why(account, task)) for task in bad), *flaky]


def _why(account: Account, task: TaskState) -> str:
    """How it ended, and its last words."""
    from provctl.app.log_end import last_lines
    from provctl.core.view import task_view
    from provctl.ui.lines import elapsed, sentence

    took = elapsed(task.started_at, task.finished_at)
    told = [sentence(task_view(task), now=0.0, took=took)]
    if task.attempt:
        log = account.folder.log_of(task.task.index, task.attempt)
        told += [neutralise(line, limit=300) for line in last_lines(log, _LOG_LINES)]
    return "\n".join(told)


def _places(
    session: Session, account: Account, ids: Sequence[str]
) -> Mapping[str, Place]:
    """Where tasks stand in the workflow file, if it is still there."""
    workflow = account.run.workflow
    if not ids or not workflow.source:
        return {}
    from provctl.app.loading import make_context
    from provctl.spec.places import task_places

    context = make_context(session.loaded.settings, session.environ, Path.cwd())
    shown = ids[:_MOST]
    return task_places(Path(workflow.source), workflow.params, shown, context=context)


def _in_workspace(file: str, environ: Mapping[str, str]) -> str:
    """A file as it is called in the repository; as it is, if it is not in there."""
    root = environ.get("GITHUB_WORKSPACE")
    if not root or not file:
        return file
    whole = os.path.realpath(file)
    inside = os.path.relpath(whole, os.path.realpath(root))
    return file if inside.startswith("..") else inside
