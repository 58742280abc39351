"""Finished runs for benchmarks of reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import AttemptResult
from provctl.storage.create_run import create_run
from provctl.storage.journal.file import Journal, recover
from provctl.storage.layout import StateDir
from provctl.storage.workflow_json import digest, dump_workflow
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ended_run"]

_PORTION = 1_000  # tasks, between two commits


def ended_run(state: Path, size: int) -> str:
    """Write a run of so many tasks to disk, every tenth failed; return its id."""
    run_id = f"run{size}"
    frozen = dump_workflow(a_workflow(*(task(f"t{n}") for n in range(size))))
    submitted = ev.RunSubmitted(run_id, 1000.0, "w", size, digest(frozen))
    run = create_run(StateDir(state), submitted, frozen)
    journal = Journal(run.journal, recover(run.journal, run_id)[1])
    journal.add(ev.OwnershipTaken(run_id, 1001.0, "foreground", 1, "boot-1"))
    for n in range(size):
        at = 1001.0 + n
        fails = n % 10 == 3
        journal.add(ev.AttemptStarted(run_id, at, f"t{n}", 1))
        journal.add(
            ev.AttemptFinished(
                run_id,
                at + 1,
                f"t{n}",
                1,
                "failed" if fails else "succeeded",
                result=AttemptResult(int(fails)),
            )
        )
        if n % _PORTION == 0:
            journal.commit()
    journal.add(ev.RunFinished(run_id, 1002.0 + size, "failed"))
    journal.commit()
    journal.close()
    return run_id
