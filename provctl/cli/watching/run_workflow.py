"""Submits a workflow that is loaded, and owns and shows its run in this process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from provctl.base.light_dataclass import light_dataclass
from provctl.cli.session import Session, print_hint
from provctl.cli.watching.notify import notify_end
from provctl.cli.watching.run_foreground import run_foreground
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow
    from provctl.executors.protocol import Executor
    from provctl.runs.submit import SubmitOptions


@light_dataclass
class AfterRun:
    """What follows the end of a run: how to notify the user, and report files."""

    notify: Optional[str]
    junit: Optional[str]
    summary: Optional[str]


def run_workflow(
    session: Session,
    workflow: Workflow,
    options: SubmitOptions,
    executor: Executor,
    after: AfterRun,
) -> int:
    """Run a workflow in the foreground; return the exit code of its run."""
    from provctl.runs.foreground import block_signals
    from provctl.runs.submit import submit

    block_signals()
    run_id = submit(session.folder, workflow, options)
    began = time.monotonic()
    try:
        # The limit is stored with the run, so that a later owner keeps it.
        code = run_foreground(session, run_id, executor, jobs=options.max_parallel)
    except ProvctlError:
        print_hint(session, f"resume the run: provctl resume {run_id}")
        raise
    notify_end(session, [run_id], code, began, how=after.notify)
    if after.junit or after.summary:
        from provctl.cli.write_reports import write_reports

        write_reports(session, [run_id], junit=after.junit, summary=after.summary)
    return code
