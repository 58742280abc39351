"""Owns `report`: a run as one HTML file that opens anywhere."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Sequence, Set, Tuple

import click

from provctl import __version__
from provctl.cli.options import RUN
from provctl.cli.times import local

if TYPE_CHECKING:
    from provctl.app.account import Try
    from provctl.cli.context import Session
    from provctl.core.state import RunState
    from provctl.journal.folder import RunFolder
    from provctl.ui.report import Failure, Report, Row

__all__ = ["report"]

_LOG_BYTES = 16 * 1024  # of each failure
_FAILURES = 50
_LOG_LINES = 100


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option("--html", "out", metavar="FILE", required=True, help="Where to write it.")
@click.pass_obj
def report(session: Session, run: str, out: str) -> None:
    """Write a report of a RUN: graph, chart, failures with their logs, use.

    One HTML file with all in it: it needs no network, and has no script.
    """
    from provctl.app.account import tries_of
    from provctl.app.follow import Follower
    from provctl.app.select import find_run
    from provctl.ui.report import as_html

    folder = session.folder.run(find_run(session.folder, run))
    follower = Follower(folder)
    tries = tries_of(follower.read())
    page = as_html(_report(folder, follower.run, tries))
    path = Path(out)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(page, encoding="utf-8")
    aside.replace(path)
    click.echo(f"report of {folder.id}: {path}", err=True)


def _report(folder: RunFolder, run: RunState, tries: Sequence[Try]) -> Report:
    from provctl.cli.graph import critical_of, picture_of_run
    from provctl.ui.picture_svg import as_svg
    from provctl.ui.report import Report

    now = run.finished_at or time.time()  # noqa: TID251  # for people only
    critical = set(critical_of(run, now))
    outcome = run.outcome or run.status
    return Report(
        name=run.submitted.name,
        run=folder.id,
        outcome=outcome.replace("_", " "),
        state=_ROLLBACKS.get(outcome, outcome),
        version=__version__,
        facts=_facts(run, now),
        graph=as_svg(picture_of_run(run)),
        chart=_chart(run, tries, critical, now),
        failures=_failures(folder, run),
        tries=[_row(each, critical, now) for each in tries],
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
    facts += [(f"Parameter {k}", _short(v)) for k, v in run.workflow.params.items()]
    return facts


def _short(value: object) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _chart(run: RunState, tries: Sequence[Try], critical: Set[str], now: float) -> str:
    from provctl.ui.gantt import Bar, as_gantt

    zero = run.started_at or run.submitted.at
    bars = [
        Bar(
            each.task,
            each.started_at - zero,
            (each.finished_at or now) - zero,
            each.outcome or "running",
            f"{each.task}, try {each.attempt}: {_said(each)}",
            each.task in critical,
        )
        for each in tries
        if each.outcome != "voided"
    ]
    return as_gantt(bars)


def _said(one: Try) -> str:
    outcome = (one.outcome or "running").replace("_", " ")
    return f"{outcome}, {one.reason}" if one.reason else outcome


def _row(one: Try, critical: Set[str], now: float) -> Row:
    from provctl.ui.lines import duration
    from provctl.ui.report import Row

    purpose = "" if one.purpose == "run" else f" ({one.purpose})"
    return Row(
        task=one.task,
        attempt=f"{one.attempt}{purpose}",
        outcome=(one.outcome or "running").replace("_", " "),
        state=one.outcome or "running",
        began=local(one.started_at),
        took=duration((one.finished_at or now) - one.started_at),
        cpu=duration(one.cpu_s) if one.cpu_s else "",
        memory=f"{one.max_rss_bytes / (1 << 20):.0f} MiB" if one.max_rss_bytes else "",
        why=one.reason,
        critical=one.task in critical,
    )


def _failures(folder: RunFolder, run: RunState) -> List[Failure]:
    from provctl.core.model import Group
    from provctl.ui.report import Failure

    found: Dict[str, Failure] = {}
    for name in run.failed:
        task = run.tasks[name]
        if len(found) == _FAILURES:
            break
        if not isinstance(task.task.action, Group):
            why = task.reason or (task.outcome or "").replace("_", " ")
            log = _end_of(folder.log_of(task.task.index, task.attempt))
            found[name] = Failure(name, why, log)
    return list(found.values())


def _end_of(path: Path) -> str:
    """The last lines of a log, such as can be shown."""
    from provctl.ui.lines import neutralise

    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _LOG_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(map(neutralise, text.splitlines()[-_LOG_LINES:]))
