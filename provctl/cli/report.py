"""Owns `report`: a run as one HTML file that opens anywhere, or for a CI system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, AbstractSet, List, Optional, Sequence, Tuple

import click

from provctl import __version__
from provctl.cli.context import tell_line
from provctl.cli.options import reports
from provctl.cli.times import local
from provctl.cli.words import RUN, TARGET
from provctl.errors import UsageProblem

if TYPE_CHECKING:
    from provctl.app.expected import Chart
    from provctl.app.tries import Try
    from provctl.cli.context import Session
    from provctl.cli.summary import Course
    from provctl.core.state import RunState
    from provctl.journal.folder import RunFolder
    from provctl.ui.report import Failure, Report, Row

__all__ = ["report", "write_reports"]

_FAILURES = 50
_LOG_LINES = 100


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--html", metavar="FILE", type=TARGET, help="Write a page with all in it."
)
@reports
@click.pass_obj
def report(
    session: Session,
    run: str,
    html: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Write reports of a RUN, as files.

    \b
    --html FILE    graph, chart, failures with their logs, use: one file, which
                   needs no network, and has no script
    --junit FILE   for the pages of CI systems; retries are shown as flaky
    --summary FILE graph, table, critical path and ends of logs, as Markdown
    """
    from provctl.app.select import find_run

    if html is None and junit is None and summary is None:
        message = "no report is asked for"
        raise UsageProblem(message, hint="--html FILE, --junit FILE or --summary FILE")
    found = find_run(session.folder, run)
    write_reports(session, [found], html=html, junit=junit, summary=summary)


def write_reports(
    session: Session,
    run_ids: Sequence[str],
    *,
    html: Optional[str] = None,
    junit: Optional[str] = None,
    summary: Optional[str] = None,
) -> None:
    """Write what is asked for about runs as they are now, each file whole or not at all.

    The page is about the first of them. Raises OSError.
    """
    from provctl.cli.summary import courses_of

    courses = courses_of(session, run_ids)
    about = " ".join(run_ids)
    if html is not None:
        from provctl.ui.report import as_html

        page = as_html(_report(courses[0]))
        _write(html, page.encode("utf-8"), about)
    if junit is not None:
        from provctl.cli.junit import suite_of
        from provctl.ui.junit import as_junit

        suites = list(map(suite_of, courses))
        _write(junit, as_junit(suites), about)
    if summary is not None:
        from provctl.cli.summary import markdown_of

        _write(summary, markdown_of(courses).encode("utf-8"), about)


def _write(file: str, content: bytes, about: str) -> None:
    from provctl.cli.whole import write_whole

    write_whole(Path(file), content)
    tell_line(f"report of {about}: {file}")


def _report(course: Course) -> Report:
    from provctl.app.expected import chart_of_run
    from provctl.cli.graph import picture_of_run
    from provctl.ui.lines import words
    from provctl.ui.picture_svg import as_svg
    from provctl.ui.report import Report

    folder, run, tries, now = course.folder, course.run, course.tries, course.now
    timing = chart_of_run(run, now)
    outcome = run.outcome or run.status
    return Report(
        program=course.program,
        name=run.submitted.name,
        run=folder.id,
        outcome=words(outcome),
        state=_ROLLBACKS.get(outcome, outcome),
        version=__version__,
        facts=_facts(run, now),
        graph=as_svg(picture_of_run(run, now, course.unattended)),
        chart=_chart(run, tries, timing.critical, now),
        failures=_failures(folder, run),
        tries=[_row(each, timing, now) for each in tries],
    )


# Runs have outcomes of their own; these look like those of tasks.
_ROLLBACKS = {"rolled_back": "undone", "rollback_failed": "undo_failed"}


def _facts(run: RunState, now: float) -> List[Tuple[str, str]]:
    from provctl.core.view import view
    from provctl.ui.lines import counts_of, duration, tally

    facts = [
        ("Submitted", local(run.submitted.at)),
        ("Tasks", tally(counts_of(view(run, rows=0)))),
        ("Workflow", run.workflow.source or "-"),
    ]
    if run.started_at is not None:
        took = duration(now - run.started_at)
        facts[1:1] = [("Began", local(run.started_at)), ("Took", took)]
    facts += [(f"Label {key}", value) for key, value in run.submitted.labels.items()]
    facts += [(f"Parameter {k}", _short(v)) for k, v in run.workflow.params.items()]
    return facts


def _short(value: object) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _chart(
    run: RunState, tries: Sequence[Try], critical: AbstractSet[str], now: float
) -> str:
    from provctl.ui.gantt import Bar, as_gantt

    zero = run.started_at or run.submitted.at
    bars = [
        Bar(
            each.task,
            each.started_at - zero,
            (each.finished_at or now) - zero,
            each.outcome or "running",
            f"{each.task}, attempt {each.attempt}: {_said(each)}",
            each.task in critical,
        )
        for each in tries
        if each.outcome != "voided"
    ]
    return as_gantt(bars)


def _said(one: Try) -> str:
    from provctl.ui.lines import words

    outcome = words(one.outcome or "running")
    return f"{outcome}, {one.reason}" if one.reason else outcome


def _row(one: Try, timing: Chart, now: float) -> Row:
    from provctl.ui.lines import duration, mebibytes, words
    from provctl.ui.report import Row

    slack_s = timing.timings[one.task].slack_s if one.purpose == "run" else 0.0
    purpose = "" if one.purpose == "run" else f" ({one.purpose})"
    return Row(
        task=one.task,
        attempt=f"{one.attempt}{purpose}",
        outcome=words(one.outcome or "running"),
        state=one.outcome or "running",
        began=local(one.started_at),
        took=duration((one.finished_at or now) - one.started_at),
        cpu=duration(one.cpu_s) if one.cpu_s else "",
        memory=mebibytes(one.max_rss_bytes),
        why=one.reason,
        critical=one.task in timing.critical,
        slack=duration(slack_s) if slack_s >= 0.1 else "",
    )


def _failures(folder: RunFolder, run: RunState) -> List[Failure]:
    from provctl.app.log_end import last_lines
    from provctl.ui.lines import neutralise, words
    from provctl.ui.report import Failure

    found = []
    for task in run.troubled()[:_FAILURES]:
        why = task.reason or words(task.outcome or task.status)
        log = last_lines(folder.log_of(task.task.index, task.attempt), _LOG_LINES)
        found.append(Failure(task.task.id, why, "\n".join(map(neutralise, log))))
    return found
