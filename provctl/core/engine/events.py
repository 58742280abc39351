"""The events: all that is ever written into a journal, named in the past tense.

This file is the journal's contract. A field may be added with a default. Any other
change needs a new format version in `storage.journal.codec` and a way to read the old
one, because every version reads the journals of all earlier ones. `at` is seconds since
the epoch, for display and deadlines; the order of events is the order of lines.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Union

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.attempt_result import NO_RESULT, AttemptResult

if TYPE_CHECKING:
    from provctl.core.model.status import (
        CancelCause,
        Purpose,
        RollbackCause,
        RunOutcome,
        TaskOutcome,
    )


@light_dataclass
class RunSubmitted:
    """A run was created: its workflow is stored on disk. Always the first record.

    `digest` is the SHA-256 of workflow.json, `tasks` its number of tasks.
    `max_parallel` limits this run, None leaves the limit to its owner. `key` is the
    idempotency key, "" for none. `labels` are those of `core.model.labels`.
    """

    run: str
    at: float
    name: str
    tasks: int
    digest: str
    priority: int = 0
    batch: Optional[str] = None
    max_parallel: Optional[int] = None
    fail_fast: bool = False
    key: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@light_dataclass
class OwnershipTaken:
    """A process took the owner lock: `owner` is "foreground" or "scheduler".

    `boot` is the boot id of the machine, so that a reboot is distinguished from a
    crash.
    """

    run: str
    at: float
    owner: str
    pid: int
    boot: str


@light_dataclass
class AttemptStarted:
    """An attempt is to be started; written before its supervisor is asked to start it.

    `purpose` is "run", "undo" or "probe"; all attempts of a task are numbered together.
    """

    run: str
    at: float
    task: str
    attempt: int
    purpose: Purpose = "run"


@light_dataclass
class AttemptAdopted:
    """An attempt that outlived its owner was adopted by a new one."""

    run: str
    at: float
    task: str
    attempt: int


@light_dataclass
class AttemptDiscarded:
    """An attempt never started, as its fence proves. It does not count.

    With `shortage` it did not start because a resource of the machine was exhausted;
    `reason` names it.
    """

    run: str
    at: float
    task: str
    attempt: int
    reason: str
    shortage: bool = False


@light_dataclass
class AttemptStopping:
    """An attempt is being stopped: `cause` is why, `now` skips the grace time."""

    run: str
    at: float
    task: str
    attempt: int
    cause: str
    now: bool = False


@light_dataclass
class AttemptSuspended:
    """The processes of an attempt are suspended: the run was paused with `freeze`."""

    run: str
    at: float
    task: str
    attempt: int


@light_dataclass
class AttemptResumed:
    """The processes of an attempt are resumed."""

    run: str
    at: float
    task: str
    attempt: int


@light_dataclass
class AttemptFinished:
    """An attempt finished, as the exit record of its supervisor says.

    `outcome` is succeeded, failed, cancelled, timed_out, lost or interrupted; of an
    undo it is undone or undo_failed instead. The outcome of a probe is that of its
    task. With `retry_at` another attempt follows at that time; without it, this is the
    task's outcome. The fields of `result` are written as if they were fields of the
    event.
    """

    run: str
    at: float
    task: str
    attempt: int
    outcome: TaskOutcome
    result: AttemptResult = NO_RESULT
    reason: str = ""
    output: Any = None
    retry_at: Optional[float] = None


@light_dataclass
class ProgressReported:
    """An attempt reported progress through the API: percent (0 to 100), and a text.

    If reports come too fast, only the last one is written.
    """

    run: str
    at: float
    task: str
    attempt: int
    percent: Optional[float] = None
    message: str = ""


@light_dataclass
class RetryDue:
    """The delay before the next attempt is over."""

    run: str
    at: float
    task: str


@light_dataclass
class ProbeDue:
    """The result of an attempt is unknown (`outcome`); the task's probe must run."""

    run: str
    at: float
    task: str
    attempt: int
    outcome: TaskOutcome
    reason: str


@light_dataclass
class TaskHeld:
    """The result of an attempt is unknown (`outcome` lost or interrupted): on hold."""

    run: str
    at: float
    task: str
    attempt: int
    outcome: TaskOutcome
    reason: str


@light_dataclass
class TaskResolved:
    """An operator resolved a held task: `how` is rerun, accept or fail."""

    run: str
    at: float
    task: str
    how: str
    reason: str = ""


@light_dataclass
class TaskSkipped:
    """A task will not run, because of its dependencies or its condition."""

    run: str
    at: float
    task: str
    reason: str


@light_dataclass
class TaskFailed:
    """A task failed without an attempt, or without another one: something is missing.

    The output of another task, a secret, or the program `nu`.
    """

    run: str
    at: float
    task: str
    reason: str


@light_dataclass
class GroupStarted:
    """The dependencies of a nested workflow are met; its tasks may start."""

    run: str
    at: float
    task: str


@light_dataclass
class GroupTimedOut:
    """A nested workflow exceeded its timeout: its unfinished tasks are cancelled."""

    run: str
    at: float
    task: str


@light_dataclass
class GroupFinished:
    """The last task of a nested workflow finished."""

    run: str
    at: float
    task: str
    outcome: TaskOutcome


@light_dataclass
class CancelRequested:
    """The run was cancelled. `cause` is "request" or "timeout".

    This event cancels tasks that have not started. Running ones are stopped, with `now`
    without a grace time.
    """

    run: str
    at: float
    cause: CancelCause = "request"
    reason: str = ""
    now: bool = False


@light_dataclass
class RunPaused:
    """No task of the run starts until it is resumed; `freeze` suspends running ones."""

    run: str
    at: float
    freeze: bool = False
    reason: str = ""


@light_dataclass
class RunResumed:
    """A paused run was resumed."""

    run: str
    at: float
    reason: str = ""


@light_dataclass
class RetryRequested:
    """Finished tasks are to run again: the named ones, or all that did not succeed.

    With `downstream` also all that depend on them. A finished run is reopened. By
    `rule` 2 this also ends retry delays of these tasks, and repeats tasks whose success
    depends on a repeated task (see `core.engine.reopen`); rule 1 does neither.
    """

    run: str
    at: float
    tasks: List[str]
    downstream: bool = False
    reason: str = ""
    rule: int = 1


@light_dataclass
class RollbackRequested:
    """The run is to be rolled back, completely or only what came after the task `to`.

    `cause` is "request" or "failure". A finished run is reopened.
    """

    run: str
    at: float
    cause: RollbackCause = "request"
    to: str = ""
    reason: str = ""


@light_dataclass
class RunFinished:
    """Every task has an outcome. The last record, unless the run is reopened."""

    run: str
    at: float
    outcome: RunOutcome


Event = Union[
    RunSubmitted,
    OwnershipTaken,
    AttemptStarted,
    AttemptAdopted,
    AttemptDiscarded,
    AttemptStopping,
    AttemptSuspended,
    AttemptResumed,
    AttemptFinished,
    ProgressReported,
    RetryDue,
    ProbeDue,
    TaskHeld,
    TaskResolved,
    TaskSkipped,
    TaskFailed,
    GroupStarted,
    GroupTimedOut,
    GroupFinished,
    CancelRequested,
    RunPaused,
    RunResumed,
    RetryRequested,
    RollbackRequested,
    RunFinished,
]
