"""What people are shown of a run: a frozen picture of the state at one moment."""

from __future__ import annotations

from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING, List, Mapping, Optional, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.outcomes import unmet_reason
from provctl.core.engine.reopen import why_stale
from provctl.core.model.attempt_result import NO_RESULT, AttemptResult
from provctl.core.model.status import NEEDS_ATTENTION
from provctl.core.model.workflow import SubWorkflow

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState


_NAMED = 2  # of the tasks that one waits for
_MESSAGE_MAX = 200  # characters, as of what is said of progress


@light_dataclass
class Progress:
    """What a task last said of itself. `percent` is 0 to 100, None if unknown.

    `done` and `whole` are the numbers of a part of a whole, if it said that.
    """

    percent: Optional[float] = None
    message: str = ""
    done: Optional[float] = None
    whole: Optional[float] = None


@light_dataclass
class TaskView:
    """One task. Times are seconds since the epoch.

    `status`: waiting, ready, running, retrying, held, finished.
    `outcome` when finished: succeeded, failed, cancelled, timed_out, lost,
    interrupted, skipped. `reason` says in words why (a skip, a failure).
    `attempt` counts tries begun (0: none yet), `attempts` those allowed. `purpose`
    is what the latest or next one is for: run, undo, probe. In or after a rollback
    the outcome may also be undone or undo_failed. `frozen`: it was told to stand
    still. `is_group`: it is a nested workflow; `has_undo`: it can be undone.
    `retry_at` is when a retrying task is tried again. `stopping`: it was told
    to end. `finalizer`: it starts when all others of its level have ended. `stale` says what its success depends on that was undone. `result` is
    that of the latest attempt, empty until it has ended.

    The rest is not known of the state alone, and filled in by who draws: `log_tail`
    holds the last lines of a failed task's log, `unattended` says what became of a
    running task if nobody owns its run. `shortage` is what the machine had none of for
    a ready task to begin. Of a running task: `rate` is its
    progress a second (of `progress.done` if there is one, else of percent);
    `expected_end` a time; `slow`: slower than usual; `cpu_percent` of one core and
    `rss_bytes` are what its processes use now. `waits_for` names the first tasks that
    a waiting one waits for, `waits_more` counts the others.
    """

    id: str
    status: str
    outcome: Optional[str] = None
    attempt: int = 0
    attempts: int = 1
    purpose: str = "run"
    result: AttemptResult = NO_RESULT
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    retry_at: Optional[float] = None
    reason: str = ""
    stale: str = ""
    is_group: bool = False
    has_undo: bool = False
    finalizer: bool = False
    stopping: bool = False
    frozen: bool = False
    progress: Progress = Progress()
    log_tail: Tuple[str, ...] = ()
    unattended: str = ""
    shortage: str = ""
    rate: Optional[float] = None
    expected_end: Optional[float] = None
    slow: bool = False
    cpu_percent: Optional[float] = None
    rss_bytes: Optional[int] = None
    waits_for: Tuple[str, ...] = ()
    waits_more: int = 0

    @property
    def explanation(self) -> str:
        """Why it is where it is, in words; "" where nothing is to be said."""
        return self.unattended or self.shortage or self.reason or self.stale

    @property
    def needs_attention(self) -> bool:
        """Whether somebody has to look into it: it failed, or it is held."""
        return self.status == "held" or self.outcome in NEEDS_ATTENTION


@light_dataclass
class RunView:
    """One run.

    `status`: queued, running, paused, cancelling, held, rolling_back, finished; or
    incomplete, see `storage.run_summary.RunSummary`, filled in by who draws.
    `outcome` when finished: succeeded, failed, cancelled, timed_out, lost,
    rolled_back, rollback_failed. `reason` is why it was cancelled, in the words of who
    did it. `counts` maps each
    status, and for finished tasks each outcome instead, to a number of tasks;
    `total` is their sum. `tasks` are the rows to show, in file order, possibly
    not all of them. `stages` are counts like `counts` by stage of the graph, and
    `expected_end` a time; both are filled in by who draws, if at all.
    """

    id: str
    name: str
    status: str
    outcome: Optional[str] = None
    reason: str = ""
    created_at: float = 0.0
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    priority: int = 0
    batch: Optional[str] = None
    labels: Mapping[str, str] = field(default_factory=dict)
    total: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    tasks: Tuple[TaskView, ...] = ()
    stages: Tuple[Mapping[str, int], ...] = ()
    expected_end: Optional[float] = None


def view(
    run: RunState,
    *,
    rows: Optional[int] = None,
    next_up: Sequence[str] = (),
    unattended: Mapping[str, str] = {},
) -> RunView:
    """Return the picture of a run with at most `rows` tasks (None: all).

    When not all fit, those come that run, wait for a retry or are held, but for a
    third at most for those that failed, then `next_up`, then the first of the others;
    all in file order. `unattended` says what became of running tasks if no process owns
    the run.
    """
    submitted = run.submitted
    stale = {} if rows == 0 else why_stale(run)
    return RunView(
        id=submitted.run,
        name=submitted.name,
        status=run.status,
        outcome=run.outcome,
        reason=run.cancel_reason,
        created_at=submitted.at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        priority=submitted.priority,
        batch=submitted.batch,
        labels=submitted.labels,
        total=len(run.tasks),
        counts={name: n for name, n in run.counts.items() if n},
        tasks=tuple(
            task_view(task, stale, unattended) for task in _rows(run, rows, next_up)
        ),
    )


def _rows(
    run: RunState, rows: Optional[int], next_up: Sequence[str]
) -> List[TaskState]:
    if rows is None or rows >= len(run.tasks):
        return list(run.tasks.values())
    of_failed = min(len(run.failed), rows // 3)
    first = dict(islice(run.active.items(), rows - of_failed))
    for others in (run.failed, next_up, run.tasks):
        for task_id in others:
            if len(first) >= rows:
                break
            first.setdefault(task_id, None)
    return sorted((run.tasks[t] for t in first), key=lambda task: task.task.index)


def task_view(
    task: TaskState,
    stale: Mapping[str, str] = {},
    unattended: Mapping[str, str] = {},
) -> TaskView:
    """Return the picture of one task; the mappings are those of its run.

    `stale` is what `core.engine.selection.why_stale` says of it, `unattended` what
    became of its running tasks if no process owns it.
    """
    succeeded = task.outcome == "succeeded"
    return TaskView(
        id=task.task.id,
        status=task.status,
        outcome=task.outcome,
        attempt=task.counted_attempts,
        attempts=task.retry.attempts,
        purpose=task.purpose,
        result=task.result,
        started_at=task.started_at,
        finished_at=task.finished_at,
        retry_at=task.retry_at,
        reason=task.reason,
        stale=stale.get(task.task.id, "") if succeeded else "",
        is_group=isinstance(task.task.action, SubWorkflow),
        has_undo=task.task.undo is not None,
        finalizer=task.task.finalizer,
        stopping=task.stop_level > 0,
        frozen=task.is_suspended,
        unattended=unattended.get(task.task.id, ""),
        shortage=task.shortage,
        progress=Progress(task.percent, returned_message(task) or task.message),
    )


def returned_message(task: TaskState) -> str:
    """Return the text in the field `message` of what a task returned; "" for none."""
    output = task.output if task.status == "finished" else None
    message = output.get("message") if isinstance(output, dict) else None
    return message.strip()[:_MESSAGE_MAX] if isinstance(message, str) else ""


def waits_of(run: RunState, task: TaskState) -> Tuple[Tuple[str, ...], int]:
    """Return the first two tasks that a waiting one waits for, and how many others."""
    parent = task.task.parent
    if parent is not None and run.tasks[parent].status == "waiting":
        return (parent,), task.unmet - 1
    if task.task.finalizer and not run.can_start_finalizer(task):
        return ("all tasks to end",), 0
    unmet = (
        need.task
        for need in task.task.needs
        if _is_unmet(run.tasks[need.task], need.on)
    )
    named = tuple(islice(unmet, _NAMED))
    return named, max(task.unmet - len(named), 0)


def _is_unmet(needed: TaskState, on: str) -> bool:
    return needed.status != "finished" or bool(unmet_reason(needed, on))
