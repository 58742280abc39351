"""The facts: everything that is ever written into a journal, in the past tense.

This file is the journal's contract. A field may be added with a default; any
other change needs a new format version in `storage.journal.codec` and an upcaster, for
every version reads the journals of all earlier ones. `at` is seconds since the
epoch, for display and deadlines; the order of facts is the order of lines.
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
    """A run exists: its workflow is frozen and on disk. Always the first record.

    `digest` is the SHA-256 of workflow.json, `tasks` how many it has.
    `max_parallel` limits this run alone, None leaves it to its owner. `key` is what
    the submitter gave to tell a repetition, "" for nothing. `labels` are as
    `core.model.labels` has them.
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

    `boot` names the boot of the machine, so a reboot is told from a crash.
    """

    run: str
    at: float
    owner: str
    pid: int
    boot: str


@light_dataclass
class AttemptStarted:
    """The decision to start a try, written before its supervisor is asked for.

    `purpose` is "run", "undo" or "probe"; all of a task are counted together.
    """

    run: str
    at: float
    task: str
    attempt: int
    purpose: Purpose = "run"


@light_dataclass
class AttemptAdopted:
    """A try that outlived its owner goes on under a new one."""

    run: str
    at: float
    task: str
    attempt: int


@light_dataclass
class AttemptDiscarded:
    """A try that was decided but, proven by its fence, never began. It costs none.

    With `shortage` it did not for what the machine had none of; `reason` says of what.
    """

    run: str
    at: float
    task: str
    attempt: int
    reason: str
    shortage: bool = False


@light_dataclass
class AttemptStopping:
    """A try is told to end: `cause` is why, `now` skips the grace time."""

    run: str
    at: float
    task: str
    attempt: int
    cause: str
    now: bool = False


@light_dataclass
class AttemptSuspended:
    """The processes of a try are to stand still: the run was paused with `freeze`."""

    run: str
    at: float
    task: str
    attempt: int


@light_dataclass
class AttemptResumed:
    """The processes of a try are to go on again."""

    run: str
    at: float
    task: str
    attempt: int


@light_dataclass
class AttemptFinished:
    """A try ended, as its supervisor's exit record says.

    `outcome` is succeeded, failed, cancelled, timed_out, lost or interrupted; of an
    undo undone or undo_failed instead. A probe's is what is true of its task. With
    `retry_at` another attempt follows then; without, this is the task's outcome.
    The fields of `result` are written as if they were fields of the event.
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
    """What a try said of itself through the API: percent (0 to 100), and a text.

    Of what comes faster than it is worth writing down, the last is written.
    """

    run: str
    at: float
    task: str
    attempt: int
    percent: Optional[float] = None
    message: str = ""


@light_dataclass
class RetryDue:
    """The wait before the next try is over."""

    run: str
    at: float
    task: str


@light_dataclass
class ProbeDue:
    """Nobody can know how a try ended (`outcome`); the task's probe is asked."""

    run: str
    at: float
    task: str
    attempt: int
    outcome: TaskOutcome
    reason: str


@light_dataclass
class TaskHeld:
    """Nobody can know how a try ended (`outcome` lost or interrupted); it waits."""

    run: str
    at: float
    task: str
    attempt: int
    outcome: TaskOutcome
    reason: str


@light_dataclass
class TaskResolved:
    """An operator decided over a held task: `how` is rerun, accept or fail."""

    run: str
    at: float
    task: str
    how: str
    reason: str = ""


@light_dataclass
class TaskSkipped:
    """A task will not run, because of what came before it or its condition."""

    run: str
    at: float
    task: str
    reason: str


@light_dataclass
class TaskFailed:
    """A task failed without a try, or another try: what it needs for that is missing.

    The value that another task was to return, a secret, or the program `nu`.
    """

    run: str
    at: float
    task: str
    reason: str


@light_dataclass
class GroupStarted:
    """The needs of a nested workflow are met; its tasks may start."""

    run: str
    at: float
    task: str


@light_dataclass
class GroupTimedOut:
    """A nested workflow ran longer than its timeout: what is left of it is to end."""

    run: str
    at: float
    task: str


@light_dataclass
class GroupFinished:
    """The last task of a nested workflow ended."""

    run: str
    at: float
    task: str
    outcome: TaskOutcome


@light_dataclass
class CancelRequested:
    """The run is to end. `cause` is "request" or "timeout".

    Tasks not yet begun are cancelled by this very fact; running ones are told
    to end, after `now` without grace.
    """

    run: str
    at: float
    cause: CancelCause = "request"
    reason: str = ""
    now: bool = False


@light_dataclass
class RunPaused:
    """No task of the run starts until it is resumed; with `freeze` none goes on."""

    run: str
    at: float
    freeze: bool = False
    reason: str = ""


@light_dataclass
class RunResumed:
    """A paused run goes on."""

    run: str
    at: float
    reason: str = ""


@light_dataclass
class RetryRequested:
    """Tasks that ended are to run again: those named, or all that did not succeed.

    With `downstream` also all that depend on them. A finished run is open again.
    By `rule` 2 the wait of a task for its next attempt ends too, and what rests on a
    task that runs again does so as well (see `core.engine.reopen`); by 1 neither.
    """

    run: str
    at: float
    tasks: List[str]
    downstream: bool = False
    reason: str = ""
    rule: int = 1


@light_dataclass
class RollbackRequested:
    """What the run made is to be undone, all or what came after the task `to`.

    `cause` is "request" or "failure". A finished run is open again.
    """

    run: str
    at: float
    cause: RollbackCause = "request"
    to: str = ""
    reason: str = ""


@light_dataclass
class RunFinished:
    """Every task has an outcome. The last record, unless the run is opened again."""

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
