"""Views: frozen pictures of a run and its tasks at one moment."""

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


_NAMED = 2  # names of the tasks that a task waits for
_MESSAGE_MAX = 200  # characters, as for a progress message


@light_dataclass
class Progress:
    """The latest progress of a task. `percent` is 0 to 100, None if unknown.

    `done` and `whole` are set if it was reported as a part of a whole.
    """

    percent: Optional[float] = None
    message: str = ""
    done: Optional[float] = None
    whole: Optional[float] = None


@light_dataclass
class TaskView:
    """One task. Times are seconds since the epoch.

    `status`: waiting, ready, running, retrying, held, finished. `outcome` when
    finished: succeeded, failed, cancelled, timed_out, lost, interrupted, skipped.
    `reason` explains it in words (a skip, a failure). `attempt` is the number of
    started attempts (0: none), `attempts` that of allowed ones. `purpose` is that of
    the latest or next attempt: run, undo, probe. In or after a rollback the outcome may
    also be undone or undo_failed. `frozen`: it is suspended. `is_group`: it is a nested
    workflow; `has_undo`: it can be undone. `retry_at` is when the next attempt is due.
    `stopping`: it is being stopped. `finalizer`: it
    starts when all other tasks of its level have finished. `stale` says on which undone task its success
    depends. `result` is that of the latest attempt, empty until it has finished.

    The other fields are not in the state; the caller fills them in. `log_tail` has the
    last lines of a failed task's log, `unattended` says what became of a running task
    of an orphaned run. `shortage` is the exhausted resource for which a ready task
    waits. Of a running task: `rate` is its progress per second (of `progress.done` if
    there is one, else of percent); `expected_end` a time; `slow`: slower than usual;
    `cpu_percent` of one core and `rss_bytes` are the current usage of its processes.
    `waits_for` names the first unmet dependencies of a waiting task, `waits_more`
    counts the others.
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
        """Why it has its status, in words; "" if there is nothing to say."""
        return self.unattended or self.shortage or self.reason or self.stale

    @property
    def needs_attention(self) -> bool:
        """Whether it needs attention: it failed, or it is held."""
        return self.status == "held" or self.outcome in NEEDS_ATTENTION


@light_dataclass
class RunView:
    """One run.

    `status`: queued, running, paused, cancelling, held, rolling_back, finished; or
    incomplete, see `storage.run_summary.RunSummary`, filled in by the caller. `outcome`
    when finished: succeeded, failed, cancelled, timed_out, lost, rolled_back,
    rollback_failed. `reason` is the reason given for its cancel. `counts` maps each
    status, and for finished tasks each outcome, to a number of tasks; `total` is their
    sum. `tasks` are the rows to show, in file order, possibly not all of them. `stages`
    are counts like `counts` by stage of the graph, and `expected_end` a time; both are
    optional and filled in by the caller.
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
    """Return the view of a run with at most `rows` tasks (None: all).

    If not all fit, running, retrying and held tasks come first, but up to a third of
    the rows is kept for failed ones; then `next_up`, then the first of the others; all
    in file order. `unattended` says what became of running tasks of an orphaned run.
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
    """Return the view of one task; the mappings are those of its run.

    `stale` is the result of `core.engine.reopen.why_stale`, `unattended` says what
    became of its running tasks if the run is orphaned.
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
    """Return the text in the field `message` of an output; "" for none."""
    output = task.output if task.status == "finished" else None
    message = output.get("message") if isinstance(output, dict) else None
    return message.strip()[:_MESSAGE_MAX] if isinstance(message, str) else ""


def waits_of(run: RunState, task: TaskState) -> Tuple[Tuple[str, ...], int]:
    """Return the first two unmet dependencies of a task, and the number of others."""
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
