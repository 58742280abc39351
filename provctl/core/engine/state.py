"""The state: what is known of every run, changed by `core.engine.apply` only.

Everything that a decision needs is updated with each change (ready tasks, due timers,
used resources), so no decision has to search all tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple
from weakref import WeakValueDictionary

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.attempt_result import NO_RESULT, AttemptResult
from provctl.core.model.expressions import ValueMissing
from provctl.core.model.status import outcome_phrase
from provctl.core.model.workflow import NO_RETRY, SubWorkflow

if TYPE_CHECKING:
    from typing import Literal, Union

    from provctl.core.engine.events import RunSubmitted
    from provctl.core.model.status import (
        CancelCause,
        MaybeOutcome,
        Purpose,
        RunOutcome,
        RunStatus,
        TaskOutcome,
        TaskStatus,
    )
    from provctl.core.model.workflow import RetryPolicy, Task, Workflow


# The resources of a task while it runs: (resource, amount), sorted. Tasks with the
# same resources are in one queue, so the next start is found by comparing few heads.
ResourceKey = Tuple[Tuple[str, int], ...]

# Order of starts: run priority, task priority, age of the run (for equal age its
# arrival at this owner), place in the file.
Priority = Tuple[int, int, float, int, int]

# A ready task in its queue: (rank, run, task).
QueueEntry = Tuple[Priority, str, str]


class AttemptState:
    """The latest attempt of a task, from its start until the next one or a reopening.

    `previous` is the earlier attempt, in case this one never started.
    """

    __slots__ = ("message", "percent", "previous", "result", "suspended")

    def __init__(
        self,
        *,
        percent: Optional[float] = None,
        message: str = "",
        suspended: bool = False,
        result: AttemptResult = NO_RESULT,
        previous: Optional[AttemptState] = None,
    ) -> None:
        self.percent = percent  # the last reported one, like `message`
        self.message = message
        self.suspended = suspended  # its processes are suspended (SIGSTOP)
        self.result = result
        self.previous = previous


@light_dataclass
class RetryDelay:
    """The wait of a task for its next attempt: `delay_s` long, until `until`."""

    until: float
    delay_s: float


class GroupState:
    """Additional state of a nested workflow."""

    __slots__ = (
        "finalizer_failed",
        "finalizing",
        "open_children",
        "open_finalizers",
        "worst_failure",
    )

    def __init__(self) -> None:
        self.open_children = 0
        self.open_finalizers = 0  # of the open children
        self.finalizing = False  # all others have ended: finalizers may start
        self.finalizer_failed = False  # and that fails the group
        self.worst_failure: MaybeOutcome = ""  # of its tasks, if it fails the group


class TaskState:
    """The state of a task. See `core.engine.view.TaskView` for the words."""

    __slots__ = (
        "attempt",
        "counted_as",
        "delay",
        "discarded",
        "fail_reason",
        "finished_at",
        "group",
        "latest",
        "outcome",
        "outcome_before_undo",
        "output",
        "purpose",
        "reason",
        "shortage",
        "skip_reason",
        "started_at",
        "started_before",
        "status",
        "stop_level",
        "task",
        "unconfirmed",
        "unmet",
    )

    def __init__(self, task: Task) -> None:
        self.task = task
        self.status: TaskStatus = "waiting"
        self.outcome: Optional[TaskOutcome] = None
        self.reason = ""
        self.output: Any = None
        self.started_at: Optional[float] = None  # None: no attempt ever ran
        self.started_before: Optional[float] = None  # it, before the latest attempt
        self.finished_at: Optional[float] = None
        self.purpose: Purpose = "run"  # of the next or current attempt
        self.attempt = 0  # number of the latest attempt, of any purpose
        self.discarded = 0  # attempts among them that no longer count
        self.latest: Optional[AttemptState] = None
        self.delay: Optional[RetryDelay] = None
        is_group = isinstance(task.action, SubWorkflow)
        self.group = GroupState() if is_group else None
        self.outcome_before_undo: MaybeOutcome = ""
        self.unconfirmed: MaybeOutcome = ""  # lost or interrupted, until its probe ends
        # The level of a finalizer has to end, the group around another to start.
        self.unmet = len(task.needs) + (task.parent is not None or task.finalizer)
        self.counted_as = "waiting"  # its key in `RunState.counts`
        self.skip_reason = ""  # why it must be skipped
        self.fail_reason = ""  # why it must fail before another attempt
        self.shortage = ""  # what was exhausted for its latest attempt
        self.stop_level = 0  # 1: stopped, 2: killed

    def as_group(self) -> GroupState:
        """Return its state as a nested workflow."""
        assert self.group is not None, "it is a nested workflow"
        return self.group

    @property
    def result(self) -> AttemptResult:
        """The result of its latest attempt; empty if that has not finished."""
        return NO_RESULT if self.latest is None else self.latest.result

    @property
    def percent(self) -> Optional[float]:
        """The percentage that its latest attempt reported last, 0 to 100."""
        return None if self.latest is None else self.latest.percent

    @property
    def message(self) -> str:
        """The message that its latest attempt reported last."""
        return "" if self.latest is None else self.latest.message

    @property
    def is_suspended(self) -> bool:
        """Whether the processes of its attempt are suspended (SIGSTOP)."""
        latest = self.latest
        return latest is not None and latest.suspended and self.status == "running"

    @property
    def retry_at(self) -> Optional[float]:
        """When its next attempt is due, seconds since the epoch."""
        return None if self.delay is None else self.delay.until

    @property
    def counted_attempts(self) -> int:
        """Attempts that count against those that a retry allows."""
        return self.attempt - self.discarded

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy of its next or current attempt."""
        if self.purpose == "run":
            return self.task.retry
        undo = self.task.undo
        return undo.retry if undo and self.purpose == "undo" else NO_RETRY


class RunState:
    """The state of a run."""

    __slots__ = (
        "active",
        "arrival",
        "body_outcome",
        "boot",
        "cancel_cause",
        "cancel_reason",
        "cancels",
        "children",
        "counts",
        "dependents",
        "ended_levels",
        "failed",
        "finalizer_failed",
        "finalizer_stop_level",
        "finalizers",
        "finalizing",
        "finished_at",
        "frozen",
        "halted",
        "has_begun",
        "last_at",
        "live",
        "open_finalizers",
        "open_tasks",
        "outcome",
        "paused",
        "rollback_due",
        "rolling_back",
        "started_at",
        "stop_level",
        "submitted",
        "suspended",
        "tasks",
        "was_suspended",
        "workflow",
        "worst_failure",
    )

    def __init__(
        self, submitted: RunSubmitted, workflow: Workflow, arrival: int
    ) -> None:
        self.submitted = submitted
        self.workflow = workflow
        self.arrival = arrival
        self.tasks: Dict[str, TaskState] = {t.id: TaskState(t) for t in workflow.tasks}
        self.dependents: Dict[str, List[Tuple[str, str]]] = {}
        self.children: Dict[str, List[str]] = {}
        # By the group they belong to; None: to the run.
        self.finalizers: Dict[Optional[str], List[str]] = {}
        self._link_tasks()
        self.open_tasks = len(workflow.tasks)
        self.open_finalizers = len(self.finalizers.get(None, ()))  # of the run itself
        self.finalizing = False  # all other tasks have ended: finalizers may start
        self.finalizer_failed = False  # and that fails the run
        self.finalizer_stop_level = 0  # of finalizers, as `stop_level` of the others
        # Groups whose tasks have ended but for finalizers, "" for the run: until the
        # event that ended the last is applied.
        self.ended_levels: Dict[str, None] = {}
        # Without regard to failures, once all tasks but finalizers have ended.
        self.body_outcome: Optional[RunOutcome] = None
        self.live = 0  # attempts that run now
        self.counts: Dict[str, int] = {"waiting": len(workflow.tasks)}
        self.active: Dict[str, None] = {}  # running, retrying, held; an ordered set
        self.failed: Dict[str, None] = {}
        self.halted = ""  # why no more tasks start after a failure
        self.rollback_due = False  # a rollback starts when all tasks have finished
        self.rolling_back = False
        self.paused = False
        self.frozen = False
        self.was_suspended = False  # adopted attempts get their state again
        self.suspended: Dict[str, float] = {}  # seconds left on timers, while paused
        self.worst_failure: MaybeOutcome = ""  # of its tasks, if it fails the run
        self.cancel_cause: Union[CancelCause, Literal[""]] = ""
        self.cancel_reason = ""
        self.cancels = 0  # cancel requests since the run was opened
        self.has_begun = False  # some task of it began, once
        self.stop_level = 0
        self.boot = ""
        self.last_at = submitted.at  # of the latest event
        self.started_at: Optional[float] = None
        self.finished_at: Optional[float] = None
        self.outcome: Optional[RunOutcome] = None

    def _link_tasks(self) -> None:
        """Find out what follows from the workflow: what comes after, and inside."""
        for task in self.workflow.tasks:
            for need in task.needs:
                self.dependents.setdefault(need.task, []).append((task.id, need.on))
            if task.parent is not None:
                self.children.setdefault(task.parent, []).append(task.id)
            if task.finalizer:
                self.finalizers.setdefault(task.parent, []).append(task.id)
        for task_id, children in self.children.items():
            group = self.tasks[task_id].as_group()
            group.open_children = len(children)
            group.open_finalizers = len(self.finalizers.get(task_id, ()))

    @property
    def status(self) -> RunStatus:
        """The status of the run; the words are those of `core.engine.view.RunView`."""
        if self.outcome is not None:
            return "finished"
        if self.is_on_hold:
            return "held"
        if self.stop_level:
            return "cancelling"
        if self.paused:
            return "paused"
        if self.rolling_back:
            return "rolling_back"
        return "running" if self.started_at is not None else "queued"

    @property
    def is_on_hold(self) -> bool:
        """No task can continue until an operator resolves the held tasks."""
        counts = self.counts
        moving = self.live or counts.get("ready", 0) or counts.get("retrying", 0)
        return counts.get("held", 0) > 0 and not moving

    def tasks_needing_attention(self) -> List[TaskState]:
        """Return the tasks that need attention: failed ones first, then held ones.

        Groups are left out, because they fail because of their tasks. Tasks that never
        started come last.
        """
        held = (task for task in self.active if self.tasks[task].status == "held")
        tasks = [self.tasks[task] for task in (*self.failed, *held)]
        work = [task for task in tasks if not isinstance(task.task.action, SubWorkflow)]
        last = self.last_at
        return sorted(work, key=lambda t: (not t.attempt, t.finished_at or last))

    def is_stopping(self, task: TaskState) -> bool:
        """Whether the run, a group around the task or its attempt is being stopped."""
        if task.task.finalizer:
            return bool(self.finalizer_stop_level or task.stop_level)
        parent = task.task.parent
        around = self.tasks[parent].stop_level if parent is not None else 0
        return bool(self.stop_level or around or task.stop_level)

    def stop_level_of(self, task: TaskState) -> int:
        """Return how urgently the run wants a task to end."""
        return self.finalizer_stop_level if task.task.finalizer else self.stop_level

    def can_start_finalizer(self, finalizer: TaskState) -> bool:
        """Whether all other tasks of its level have ended."""
        parent = finalizer.task.parent
        if parent is None:
            return self.finalizing
        return self.tasks[parent].as_group().finalizing

    def output_of(self, task_id: str) -> Any:
        """Return the output of a task; of a group, a record of the outputs inside it.

        Raises ValueMissing if there is none.
        """
        task = self.tasks[task_id]
        outcome = self.outcome_of(task_id)
        if isinstance(task.task.action, SubWorkflow):
            return self._group_output(task_id)
        if outcome != "succeeded":
            message = f"{task_id} has no output: it {outcome_phrase(outcome)}"
            raise ValueMissing(message)
        return task.output

    def outcome_of(self, task_id: str) -> TaskOutcome:
        """Return how a task finished; what it returned outlives its undo.

        Raises ValueMissing if it has not.
        """
        task = self.tasks[task_id]
        outcome = task.outcome_before_undo or task.outcome
        if outcome is None:
            message = f"{task_id} has not finished"
            raise ValueMissing(message)
        return outcome

    def needed_by(self, task_id: str) -> Dict[str, Any]:
        """Return the outputs of the dependencies of a task, by the names that it uses.

        Null for a task without an output, such as a failed one.
        """
        needs = self.tasks[task_id].task.needs
        parent = self.tasks[task_id].task.parent
        prefix = "" if parent is None else f"{parent}/"
        outputs: Dict[str, Any] = {}
        for need in needs:
            try:
                output = self.output_of(need.task)
            except ValueMissing:
                output = None
            outputs[need.task[len(prefix) :]] = output
        return outputs

    def _group_output(self, group_id: str) -> Dict[str, Any]:
        """Outputs of all tasks inside, nested like the groups; without recursion."""
        whole: Dict[str, Any] = {}
        pending: List[Tuple[str, Dict[str, Any]]] = [(group_id, whole)]
        while pending:
            current, record = pending.pop()
            for child in self.children.get(current, ()):
                name = child[len(current) + 1 :]
                if isinstance(self.tasks[child].task.action, SubWorkflow):
                    record[name] = {}
                    pending.append((child, record[name]))
                else:
                    record[name] = self.tasks[child].output
        return whole


class State:
    """Everything one owner knows: its runs and the resources they share.

    `slots` is how many tasks may run at once, `capacity` the size of each pool.
    """

    def __init__(self, *, slots: int, capacity: Mapping[str, int]) -> None:
        self.slots = slots
        self.capacity: Dict[str, int] = dict(capacity)
        self.runs: Dict[str, RunState] = {}
        # Workflows of these runs by digest: many runs often have the same one.
        self.workflows: WeakValueDictionary[str, Workflow] = WeakValueDictionary()
        self.arrivals = 0
        self.running = 0
        self.used: Dict[str, int] = {}
        # Ready tasks by their resources; each list is a heap of (rank, run, task). The
        # head is ready; later entries may be of tasks that are no longer ready.
        self.queues: Dict[ResourceKey, List[QueueEntry]] = {}
        # Tasks for which an event is due; an ordered set.
        self.due: Dict[Tuple[str, str], None] = {}
        # Runs that may have finished; an ordered set.
        self.ending: Dict[str, None] = {}
        # A heap of (when, run, task): the end of a delay, or a timeout of a run ("").
        self.timers: List[Tuple[float, str, str]] = []
