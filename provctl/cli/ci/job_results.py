"""Reports the results of runs to the CI system: annotations, and the step summary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Sequence

from provctl.cli.session import print_message
from provctl.render.ci_dialects import detect_ci_log_format

if TYPE_CHECKING:
    from provctl.cli.session import Session


def write_ci_summary(session: Session, run_ids: Sequence[str]) -> None:
    """Report the results of watched runs to the CI system.

    If the summary page cannot be written, this prints a note and does not fail.
    """
    if not detect_ci_log_format(session.environ).annotates:
        return
    from provctl.cli.ci.annotations import annotate_runs
    from provctl.cli.ci.summary import MOST, markdown_of, summaries_of

    courses = summaries_of(session, run_ids)
    annotate_runs(session, courses)
    page = session.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return

    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(page, flags, 0o600), "ab") as file:
            room = MOST - file.tell() - 1
            file.write(f"{markdown_of(courses, room)}\n".encode())
    except OSError as problem:
        why = problem.strerror or os.strerror(problem.errno or 0)
        print_message(f"note: the step summary could not be written: {why}")
