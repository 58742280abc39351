"""Owns what a CI job is left with when runs have ended: remarks, a page of summary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Sequence

from provctl.cli.context import tell_line
from provctl.ui.dialects import dialect_of

if TYPE_CHECKING:
    from provctl.cli.context import Session

__all__ = ["conclude"]


def conclude(session: Session, run_ids: Sequence[str]) -> None:
    """Tell the CI system, if it is one that listens, how runs that were watched ended.

    A page that cannot be written is no reason to fail: it is only told.
    """
    if not dialect_of(session.environ).annotates:
        return
    from provctl.cli.annotations import annotate_runs
    from provctl.cli.summary import courses_of

    courses = courses_of(session, run_ids)
    annotate_runs(session, courses)
    page = session.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return
    from provctl.cli.summary import MOST, markdown_of

    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(page, flags, 0o600), "ab") as file:
            room = MOST - file.tell() - 1
            file.write(f"{markdown_of(courses, room)}\n".encode())
    except OSError as problem:
        why = problem.strerror or os.strerror(problem.errno or 0)
        tell_line(f"note: the summary of the step is not written: {why}")
