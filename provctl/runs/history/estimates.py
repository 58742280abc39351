"""Measured and expected durations of tasks, and the critical path that follows."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from provctl.base.byte_range_lock import AVAILABLE
from provctl.base.light_dataclass import light_dataclass
from provctl.core.analysis.critical_path import critical_path
from provctl.core.analysis.statistics import (
    DurationStats,
    PastRun,
    duration_stats,
    expected_end,
)
from provctl.core.engine.run_queue import RESERVED, SLOTS, pool
from provctl.core.engine.state import State
from provctl.errors import ProvctlError
from provctl.runs.history.past_runs import past_runs, read_past
from provctl.runs.summary_cache import accounts
from provctl.storage.journal.replay import read_run
from provctl.storage.lock import lock_owner
from provctl.storage.run_summary import summarise_or_damaged
from provctl.storage.slots import slot_holders

if TYPE_CHECKING:
    from provctl.core.analysis.critical_path import TaskSlack
    from provctl.core.analysis.explain import Elsewhere
    from provctl.core.analysis.statistics import DurationStats
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.workflow import Task, Workflow
    from provctl.storage.layout import StateDir
    from provctl.storage.run_summary import RunSummary


_TASKS = 20_000  # in all runs that are read; 10,000 take a second


@light_dataclass
class CriticalPathReport:
    """The critical path of a workflow, and the timing of every task, in seconds.

    `path` lists the critical path from first to last; `critical` is the set of the same
    tasks. `took_s` has the known durations of single tasks.
    """

    path: Sequence[str]
    timings: Mapping[str, TaskSlack]
    took_s: Mapping[str, float]
    critical: AbstractSet[str]


def recent_stats(folder: StateDir, name: str) -> Dict[str, DurationStats]:
    """Return statistics of the latest runs: by task, and "" for the workflow.

    For large workflows fewer runs are read, to answer quickly.
    """
    finished = [
        run for run in accounts(folder) if run.name == name and run.outcome is not None
    ]
    tasks = 0
    recent: List[RunSummary] = []
    for run in reversed(finished):
        tasks += run.tasks
        if recent and tasks > _TASKS:
            break
        recent.append(run)
    return duration_stats(past_runs(folder, name, known=recent[::-1]))


def median_durations(folder: StateDir, name: str) -> Dict[str, float]:
    """Return the median durations of the tasks of a workflow, in seconds."""
    known = recent_stats(folder, name)
    return {task: p.p50_s for task, p in known.items() if task and p.p50_s is not None}


def critical_path_of_workflow(
    workflow: Workflow, known: Mapping[str, float]
) -> CriticalPathReport:
    """Return the critical path of a workflow with the `known` durations, in seconds.

    If no duration is known, all tasks have the same; otherwise unknown ones are 0.
    """
    tasks = {task.id for task in workflow.tasks}
    took_s = {task: s for task, s in known.items() if task in tasks}
    unknown = 0.0 if took_s else 1.0
    return _chart(workflow.tasks, took_s, lambda task: took_s.get(task.id, unknown))


def critical_path_of_run(
    run: RunState, now: float, known: Mapping[str, float] = {}
) -> CriticalPathReport:
    """Return the critical path of a run, with the durations of its tasks until `now`.

    An unfinished task has its `known` duration from earlier runs, or the time it has
    taken so far if that is longer or nothing is known. `now` is in seconds since the
    epoch.
    """
    took_s = {
        name: _took(task, now, known.get(name, 0.0)) for name, task in run.tasks.items()
    }
    return _chart(run.workflow.tasks, took_s, lambda task: took_s[task.id])


def _took(task: TaskState, now: float, usual_s: float) -> float:
    if task.finished_at is not None or task.status == "finished":
        began = task.started_at
        return 0.0 if began is None else max((task.finished_at or now) - began, 0.0)
    spent = 0.0 if task.started_at is None else now - task.started_at
    return max(spent, usual_s)


def _chart(
    tasks: Sequence[Task],
    took_s: Mapping[str, float],
    seconds_of: Callable[[Task], float],
) -> CriticalPathReport:
    path, timings = critical_path(tasks, seconds_of)
    return CriticalPathReport(path, timings, took_s, frozenset(path))


def shared_state(
    folder: StateDir, run_id: str, *, slots: int, capacity: Mapping[str, int]
) -> State:
    """Return the state of a run, and of all other runs of its owner.

    It has the limits of the owner, or of the running scheduler; without either, `slots`
    and `capacity`. Raises JournalDamaged and JournalTooNew if the run's own journal is
    the cause.
    """
    own = folder.run(run_id)
    owner = lock_owner(own.lock) or lock_owner(folder.scheduler / "lock")
    if owner is not None and owner.slots is not None and owner.pools is not None:
        slots, capacity = owner.slots, owner.pools
    state = State(slots=slots, capacity=capacity)
    read_run(state, own)
    if owner is not None and owner.kind == "foreground":
        return state
    if state.runs[run_id].outcome is not None:
        return state
    for other_id in folder.queued():
        other = folder.run(other_id)
        if other_id == run_id:
            continue
        try:
            read_run(state, other)
        except ProvctlError:
            continue  # the owner does not have this run either
    return state


def held_elsewhere(folder: StateDir, state: State, slots: int) -> Elsewhere:
    """Return which shared resources are held by owners other than that of `state`.

    All owners together run up to `slots` tasks; slots are only included if all of them
    are taken. RESERVED are ready tasks of `state` that hold a slot while their secrets
    are looked up.
    """
    sizes = {SLOTS: slots, **{pool(n): size for n, size in state.capacity.items()}}
    found: Dict[str, Dict[Tuple[str, str], int]] = {}
    for resource, size in sizes.items():
        units = slot_holders(folder.slots, resource, size) if AVAILABLE else {}
        others = {key: n for key, n in units.items() if not _is_running(state, *key)}
        if others:
            found[resource] = others
    own = {
        key: n for key, n in found.get(SLOTS, {}).items() if _has_secrets(state, *key)
    }
    if state.running + len(found.get(SLOTS, ())) < slots:
        found.pop(SLOTS, None)
    return {**found, RESERVED: own} if own else found


def _has_secrets(state: State, run_id: str, task_id: str) -> bool:
    run = state.runs.get(run_id)
    return (
        run is not None
        and task_id in run.tasks
        and bool(run.tasks[task_id].task.secrets)
    )


def _is_running(state: State, run_id: str, task_id: str) -> bool:
    return run_id in state.runs and task_id in state.runs[run_id].active


class RunContext:
    """Expected ends of running tasks, from earlier runs and reported progress."""

    def __init__(self, folder: StateDir, now: float) -> None:
        self._folder = folder
        self._now = now
        self._paces: Dict[str, Dict[str, DurationStats]] = {}

    def stats(self, name: str) -> Dict[str, DurationStats]:
        """Return statistics of the tasks of a workflow from earlier runs."""
        if name not in self._paces:
            self._paces[name] = recent_stats(self._folder, name)
        return self._paces[name]

    def chart(self, run: RunState) -> Optional[CriticalPathReport]:
        """Return the critical path of a run; None if it cannot be known."""
        usual = {
            name: pace.p50_s
            for name, pace in self.stats(run.submitted.name).items()
            if pace.p50_s is not None
        }
        if run.rolling_back or (run.outcome is None and not usual):
            return None
        return critical_path_of_run(run, run.finished_at or self._now, usual)

    def expected_end(self, run: RunState, task: TaskState) -> Optional[float]:
        """Return the expected end of a task, in seconds since the epoch, or None."""
        if task.started_at is None or task.purpose != "run":
            return None
        pace = self.stats(run.submitted.name).get(task.task.id)
        return expected_end(pace, task.started_at, self._now, task.percent)


_RUNS = 50  # of one workflow
_LOOKED_AT = 200  # runs per step whose summaries are read
_STEP_BYTES = 128 * 1024
_ALL_BYTES = 4 << 20


class _History:
    """The runs of a workflow that finished before a time; the latest is read first."""

    def __init__(self, folder: StateDir, found: List[RunSummary]) -> None:
        self._folder = folder
        self._left = found[-_RUNS:]
        self._pasts: List[PastRun] = []
        self._bytes = _ALL_BYTES
        self.paces: Mapping[str, DurationStats] = {}

    def step(self) -> bool:
        """Read the next few runs; return whether there were any."""
        if not self._left:
            return False
        step = _STEP_BYTES
        while self._left and step > 0:
            summary = self._left.pop()
            size = _size_of(self._folder, summary.id)
            past = _past_run(summary)
            if size <= self._bytes:
                self._bytes -= size
                step -= size
                past = read_past(self._folder, summary)
            if past is not None:
                self._pasts.append(past)
        if not self._left:
            self.paces = duration_stats(self._pasts[::-1])
            self._pasts.clear()
        return True


class DurationEstimator:
    """Statistics of the durations of tasks and runs, from earlier runs."""

    def __init__(self, folder: StateDir) -> None:
        self._folder = folder
        self._unseen: Optional[List[str]] = None
        self._known: List[RunSummary] = []
        self._histories: Dict[str, _History] = {}

    def stats(self, run: RunState, task: str = "") -> Optional[DurationStats]:
        """Return what is known so far of a task, or of whole runs of the workflow."""
        history = self._histories.get(run.submitted.name)
        return None if history is None else history.paces.get(task)

    def load_history(self, runs: Iterable[RunState]) -> bool:
        """Read a little more history for active runs; return whether there was more."""
        return any(self._step(run) for run in runs if run.outcome is None)

    def _step(self, run: RunState) -> bool:
        """Read a little more history of a workflow; return whether there was more."""
        if self._unseen is None:
            self._unseen = self._folder.run_ids()
        if self._unseen:
            self._look()
            return True
        history = self._histories.get(run.submitted.name)
        if history is None:
            history = _History(self._folder, self._before(run))
            self._histories[run.submitted.name] = history
        return history.step()

    def _look(self) -> None:
        """Read the summaries of the next runs."""
        assert self._unseen
        some, self._unseen = self._unseen[:_LOOKED_AT], self._unseen[_LOOKED_AT:]
        found = (summarise_or_damaged(self._folder.run(run_id)) for run_id in some)
        self._known += [run for run in found if run.outcome is not None]
        if not self._unseen:
            self._known.sort(key=lambda run: (run.created_at, run.id))

    def _before(self, run: RunState) -> List[RunSummary]:
        return [
            other
            for other in self._known
            if other.name == run.submitted.name
            and other.finished_at is not None
            and other.finished_at <= run.submitted.at
        ]


def _past_run(summary: RunSummary) -> Optional[PastRun]:
    """Return a past run with only its outcome and its times."""
    if summary.outcome is None or summary.finished_at is None:
        return None
    made_at, ended_at = summary.created_at, summary.finished_at
    return PastRun(summary.id, summary.outcome, made_at, made_at, ended_at)


def _size_of(folder: StateDir, run_id: str) -> int:
    try:
        return folder.run(run_id).journal.stat().st_size
    except OSError:
        return 0
