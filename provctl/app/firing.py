"""Owns firing: a time of a schedule becomes a run on disk, one and the same if repeated.

The workflow is evaluated anew each time, as it would be for who submits it at the
terminal: in the folder and with the environment in which the schedule was added.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Optional

from provctl.app.loading import check_tools, make_context
from provctl.app.submit import Wishes, id_of_key, queue_again, submit
from provctl.core.schedule import LABEL, key_of
from provctl.errors import StateUnusable
from provctl.journal.summary import summarise

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model import Workflow
    from provctl.core.schedule import Schedule
    from provctl.journal.folder import RunFolder, StateFolder

__all__ = ["Firing", "evaluated", "wishes_of"]

# Set in tests: the moment at which this process is killed, "before" or "after" the run
# is on disk; or "unkeyed", killed after it, and the run has no key.
_FAILPOINT = os.environ.get("PROVCTL_FAILPOINT_FIRING", "")


def evaluated(settings: Settings, schedule: Schedule) -> Workflow:
    """Return the workflow as its file has it now, or as it was sent.

    Raises WorkflowInvalid, ToolMissing, LibraryIncompatible.
    """
    # Pydantic would look through every installed package for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from provctl.spec.body import load_body
    from provctl.spec.load import load_workflow

    context = make_context(settings, schedule.environment, Path(schedule.cwd))
    if schedule.body:
        workflow = load_body(schedule.body, context=context).workflow
    else:
        workflow = load_workflow(Path(schedule.file), schedule.params, context=context)
    check_tools(settings, workflow)
    return workflow


def wishes_of(
    schedule: Schedule, key: Optional[str], labels: Mapping[str, str]
) -> Wishes:
    """Return how a run of a schedule is treated; `labels` are added to its own."""
    return Wishes(
        schedule.priority,
        max_parallel=schedule.max_parallel,
        fail_fast=schedule.fail_fast,
        key=key,
        labels={**schedule.labels, **labels, LABEL: schedule.name},
    )


@dataclass(frozen=True)
class Firing:
    """Makes runs of schedules in one state directory."""

    settings: Settings
    folder: StateFolder

    def has_fired(self, schedule: Schedule, at: float) -> bool:
        """Whether there is a run of a time already: who made it died before it said so."""
        return self._run(schedule, at).path.exists()

    def fire(self, schedule: Schedule, at: float) -> str:
        """Put the run of a time on disk and into the queue, and return its id.

        Takes as long as an evaluation: not for the event loop. Raises what
        `evaluated` does, and StateUnusable.
        """
        run = self._run(schedule, at)
        workflow = None if run.path.exists() else self._evaluated(schedule)
        with self.folder.submitting():
            if workflow is None:
                self.folder.settle()
            else:
                _passed("before")
                key = None if _FAILPOINT == "unkeyed" else key_of(schedule, at)
                wishes = wishes_of(schedule, key, {})
                run = self.folder.run(submit(self.folder, workflow, wishes))
                _passed("after", "unkeyed")
            queue_again(self.folder, run.id)
        return run.id

    def _evaluated(self, schedule: Schedule) -> Workflow:
        try:
            return evaluated(self.settings, schedule)
        except OSError as problem:  # no process or descriptor is free, say
            message = f"{schedule.file}: cannot be read now: {problem.strerror}"
            raise StateUnusable(message) from problem

    def goes_on(self, run_id: str) -> bool:
        """Whether a run is there and has not ended. Raises JournalDamaged, JournalTooNew."""
        run = self.folder.run(run_id)
        return bool(run_id) and run.path.exists() and summarise(run).outcome is None

    def _run(self, schedule: Schedule, at: float) -> RunFolder:
        return self.folder.run(id_of_key(key_of(schedule, at)))


def _passed(*moments: str) -> None:
    if _FAILPOINT in moments:
        os.kill(os.getpid(), signal.SIGKILL)
