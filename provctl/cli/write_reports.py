"""Writes reports of a run: HTML, JUnit, Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, AbstractSet, List, Optional, Sequence, Tuple

from provctl import __version__
from provctl.base.timefmt import format_local
from provctl.cli.session import print_message

if TYPE_CHECKING:
    from provctl.cli.ci.summary import RunSummaryReport
    from provctl.cli.session import Session
    from provctl.core.engine.state import RunState
    from provctl.render.html_report import AttemptRow, Failure, Report
    from provctl.runs.history.attempts import Attempt
    from provctl.runs.history.estimates import CriticalPathReport
    from provctl.storage.layout import RunDir


_FAILURES = 50


_LOG_LINES = 100


def write_reports(
    session: Session,
    run_ids: Sequence[str],
    *,
    html: Optional[str] = None,
    junit: Optional[str] = None,
    summary: Optional[str] = None,
) -> None:
    """Write the requested reports about runs as they are now, each file atomically.

    The page is about the first run. Raises OSError.
    """
    from provctl.cli.ci.summary import summaries_of

    courses = summaries_of(session, run_ids)
    about = " ".join(run_ids)
    if html is not None:
        from provctl.render.html_report import as_html

        page = as_html(_report(courses[0]))
        _write(html, page.encode("utf-8"), about)
    if junit is not None:
        from provctl.cli.ci.junit import junit_suite
        from provctl.render.junit_xml import as_junit

        suites = list(map(junit_suite, courses))
        _write(junit, as_junit(suites), about)
    if summary is not None:
        from provctl.cli.ci.summary import markdown_of

        _write(summary, markdown_of(courses).encode("utf-8"), about)


def _write(file: str, content: bytes, about: str) -> None:
    from provctl.base.atomic_write import write_whole

    write_whole(Path(file), content)
    print_message(f"report of {about}: {file}")


def _report(course: RunSummaryReport) -> Report:
    from provctl.cli.run_graph import picture_of_run
    from provctl.render.graph.svg import as_svg
    from provctl.render.html_report import Report
    from provctl.render.text import humanize
    from provctl.runs.history.estimates import critical_path_of_run

    folder, run, attempts, now = course.folder, course.run, course.attempts, course.now
    timing = critical_path_of_run(run, now)
    outcome = run.outcome or run.status
    return Report(
        program=course.program,
        name=run.submitted.name,
        run=folder.id,
        outcome=humanize(outcome),
        state=_ROLLBACKS.get(outcome, outcome),
        version=__version__,
        facts=_facts(run, now),
        graph=as_svg(picture_of_run(run, now, course.unattended)),
        chart=_chart(run, attempts, timing.critical, now),
        failures=_failures(folder, run),
        attempts=[_row(each, timing, now) for each in attempts],
    )


# Outcomes of runs only; they look like these of tasks.
_ROLLBACKS = {"rolled_back": "undone", "rollback_failed": "undo_failed"}


def _facts(run: RunState, now: float) -> List[Tuple[str, str]]:
    from provctl.core.engine.view import view
    from provctl.render.text import counts_of, duration, format_counts

    facts = [
        ("Submitted", format_local(run.submitted.at)),
        ("Tasks", format_counts(counts_of(view(run, rows=0)))),
        ("Workflow", run.workflow.source or "-"),
    ]
    if run.started_at is not None:
        took = duration(now - run.started_at)
        facts[1:1] = [("Began", format_local(run.started_at)), ("Took", took)]
    facts += [(f"Label {key}", value) for key, value in run.submitted.labels.items()]
    facts += [(f"Parameter {k}", _shorten(v)) for k, v in run.workflow.params.items()]
    return facts


def _shorten(value: object) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _chart(
    run: RunState, attempts: Sequence[Attempt], critical: AbstractSet[str], now: float
) -> str:
    from provctl.render.gantt import Bar, as_gantt

    zero = run.started_at or run.submitted.at
    bars = [
        Bar(
            each.task,
            each.started_at - zero,
            (each.finished_at or now) - zero,
            each.outcome or "running",
            f"{each.task}, attempt {each.attempt}: {_bar_title(each)}",
            each.task in critical,
        )
        for each in attempts
        if each.outcome != "voided"
    ]
    return as_gantt(bars)


def _bar_title(one: Attempt) -> str:
    from provctl.render.text import humanize

    outcome = humanize(one.outcome or "running")
    return f"{outcome}, {one.reason}" if one.reason else outcome


def _row(one: Attempt, timing: CriticalPathReport, now: float) -> AttemptRow:
    from provctl.render.html_report import AttemptRow
    from provctl.render.text import duration, format_mib, humanize

    slack_s = timing.timings[one.task].slack_s if one.purpose == "run" else 0.0
    purpose = "" if one.purpose == "run" else f" ({one.purpose})"
    return AttemptRow(
        task=one.task,
        attempt=f"{one.attempt}{purpose}",
        outcome=humanize(one.outcome or "running"),
        state=one.outcome or "running",
        began=format_local(one.started_at),
        took=duration((one.finished_at or now) - one.started_at),
        cpu=duration(one.result.cpu_s) if one.result.cpu_s else "",
        memory=format_mib(one.result.max_rss_bytes),
        read=format_mib(one.result.read_bytes),
        written=format_mib(one.result.written_bytes),
        why=one.reason,
        critical=one.task in timing.critical,
        slack=duration(slack_s) if slack_s >= 0.1 else "",
    )


def _failures(folder: RunDir, run: RunState) -> List[Failure]:
    from provctl.render.html_report import Failure
    from provctl.render.text import humanize, sanitize
    from provctl.runs.log_tail import last_lines

    found = []
    for task in run.tasks_needing_attention()[:_FAILURES]:
        why = task.reason or humanize(task.outcome or task.status)
        log = last_lines(folder.log_of(task.task.index, task.attempt), _LOG_LINES)
        found.append(Failure(task.task.id, why, "\n".join(map(sanitize, log))))
    return found
