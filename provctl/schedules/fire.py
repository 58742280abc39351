"""Fires schedules: a due time becomes a run on disk; firing again returns the same run.

Evaluates the workflow each time, in the folder and with the environment in which the
schedule was added.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Optional

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.schedule import LABEL, idempotency_key
from provctl.errors import StateDirError
from provctl.runs.load_context import check_tools, make_context
from provctl.runs.submit import (
    SubmitOptions,
    enqueue_if_unfinished,
    run_id_for_key,
    submit,
)
from provctl.storage.run_summary import summarise

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model.schedule import Schedule
    from provctl.core.model.workflow import Workflow
    from provctl.storage.layout import RunDir, StateDir


# Set in tests: when to kill this process. "before" or "after": before or after the run
# is on disk. "unkeyed": after it, and the run has no key.
_FAILPOINT = os.environ.get("PROVCTL_FAILPOINT_FIRING", "")


def evaluated(settings: Settings, schedule: Schedule) -> Workflow:
    """Return the workflow, evaluated from its file now, or as it was sent.

    Raises InvalidWorkflow, MissingTool, LibraryIncompatible.
    """
    # Pydantic would search every installed package for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from provctl.workflow_files.load import load_workflow
    from provctl.workflow_files.request_body import load_body

    context = make_context(settings, schedule.environment, Path(schedule.cwd))
    if schedule.body:
        workflow = load_body(schedule.body, context=context).workflow
    else:
        workflow = load_workflow(Path(schedule.file), schedule.params, context=context)
    check_tools(settings, workflow)
    return workflow


def submit_options(
    schedule: Schedule, key: Optional[str], labels: Mapping[str, str]
) -> SubmitOptions:
    """Return the options for a run of a schedule; `labels` are added to its own."""
    return SubmitOptions(
        schedule.priority,
        max_parallel=schedule.max_parallel,
        fail_fast=schedule.fail_fast,
        key=key,
        labels={**schedule.labels, **labels, LABEL: schedule.name},
    )


@light_dataclass
class ScheduleTrigger:
    """Creates the runs of schedules in one state directory."""

    settings: Settings
    folder: StateDir

    def has_run(self, schedule: Schedule, at: float) -> bool:
        """Whether a time already has a run, made by a process that died afterwards."""
        return self._run(schedule, at).path.exists()

    def fire(self, schedule: Schedule, at: float) -> str:
        """Write the run of a due time to disk, queue it, and return its id.

        Takes as long as an evaluation, so do not call it in the event loop. Raises the
        errors of `evaluated`, and StateDirError.
        """
        run = self._run(schedule, at)
        workflow = None if run.path.exists() else self._evaluate(schedule)
        with self.folder.submitting():
            if workflow is None:
                self.folder.sync_run_index()
            else:
                _failpoint("before")
                key = None if _FAILPOINT == "unkeyed" else idempotency_key(schedule, at)
                wishes = submit_options(schedule, key, {})
                run = self.folder.run(submit(self.folder, workflow, wishes))
                _failpoint("after", "unkeyed")
            enqueue_if_unfinished(self.folder, run.id)
        return run.id

    def _evaluate(self, schedule: Schedule) -> Workflow:
        try:
            return evaluated(self.settings, schedule)
        except OSError as problem:  # such as: no process or descriptor is free
            message = f"{schedule.file}: cannot be read now: {problem.strerror}"
            raise StateDirError(message) from problem

    def is_running(self, run_id: str) -> bool:
        """Whether a run is unfinished. Raises JournalDamaged, JournalTooNew."""
        run = self.folder.run(run_id)
        return bool(run_id) and run.path.exists() and summarise(run).outcome is None

    def _run(self, schedule: Schedule, at: float) -> RunDir:
        return self.folder.run(run_id_for_key(idempotency_key(schedule, at)))


def _failpoint(*moments: str) -> None:
    if _FAILPOINT in moments:
        os.kill(os.getpid(), signal.SIGKILL)
