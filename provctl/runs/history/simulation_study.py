"""Simulates a workflow with several numbers of jobs, from known durations."""

from __future__ import annotations

from dataclasses import field
from hashlib import sha256
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.core.analysis.simulate import FailureModel, critical_path_length, simulate
from provctl.core.analysis.statistics import quantile
from provctl.core.model.workflow import SubWorkflow
from provctl.errors import UsageError
from provctl.runs.history.estimates import recent_stats
from provctl.runs.history.past_runs import tasks_of

if TYPE_CHECKING:
    from provctl.core.analysis.simulate import SimulationResult
    from provctl.core.analysis.statistics import DurationStats
    from provctl.core.engine.state import RunState
    from provctl.core.model.workflow import Task, Workflow
    from provctl.storage.layout import StateDir


_NOTHING_KNOWN_S = 1.0


@light_dataclass
class SimulationInput:
    """What is simulated: a workflow, the capacity of pools, and optionally a run."""

    workflow: Workflow
    capacity: Mapping[str, int]
    run: Optional[RunState] = None


@light_dataclass
class SimulationOptions:
    """Options of a simulation, in seconds; `default_s` for tasks without history.

    `pessimistic` takes the 90th percentile of earlier runs in place of the median.
    With a `seed`, attempts fail as often as in earlier runs.
    """

    jobs: Sequence[int]
    pessimistic: bool = False
    durations: Mapping[str, float] = field(default_factory=dict)
    default_s: Optional[float] = None
    seed: Optional[int] = None


@light_dataclass
class SimulationStudy:
    """The results: a simulation for each number of jobs, and one `without_limit`.

    More than `enough` jobs do not help. `critical` is the critical path, which takes
    `critical_s` seconds. The tasks in `assumed` never ran; each is assumed to take
    `assumed_s` seconds.
    """

    subject: SimulationInput
    question: SimulationOptions
    simulations: Sequence[SimulationResult]
    without_limit: SimulationResult
    critical: Sequence[str]
    critical_s: float
    enough: int
    assumed: Sequence[str]
    assumed_s: float


def play(
    folder: StateDir, subject: SimulationInput, question: SimulationOptions
) -> SimulationStudy:
    """Simulate with each number of jobs. Raises UsageError for unknown tasks."""
    workflow = subject.workflow
    tried = {t.id for t in workflow.tasks if not isinstance(t.action, SubWorkflow)}
    for task in question.durations:
        if task not in tried:
            message = f"{workflow.name} has no task {task} with a duration of its own"
            raise UsageError(message, hint="see: provctl plan FILE")
    earlier = recent_stats(folder, workflow.name)
    known = {t: s for t, s in _known(subject, question, earlier).items() if t in tried}
    assumed_s = question.default_s
    if assumed_s is None:
        assumed_s = quantile([*known.values()], 0.5) if known else _NOTHING_KNOWN_S
    failure_model = (
        None if question.seed is None else _failure_model(question.seed, earlier)
    )

    def took_s(task: Task) -> float:
        return known.get(task.id, assumed_s or 0.0)

    def with_slots(slots: int) -> SimulationResult:
        return simulate(
            workflow,
            slots=slots,
            capacity=subject.capacity,
            took_s=took_s,
            failure_model=failure_model,
        )

    without_limit = with_slots(max(len(tried), 1))
    simulations = [with_slots(slots) for slots in question.jobs]
    # The random number depends only on task and attempt, so it is the same in all
    # simulations.
    critical, critical_s = critical_path_length(workflow, without_limit)
    return SimulationStudy(
        subject,
        question,
        simulations,
        without_limit,
        critical,
        critical_s,
        _enough(simulations, without_limit),
        [task for task in without_limit.spent if task not in known],
        assumed_s,
    )


def _known(
    subject: SimulationInput,
    question: SimulationOptions,
    earlier: Mapping[str, DurationStats],
) -> Dict[str, float]:
    """Return durations in seconds: as given, else as in the run, else as usual."""
    known: Dict[str, float] = {}
    for task, pace in earlier.items():
        usual = pace.p90_s if question.pessimistic else pace.p50_s
        if usual is not None:
            known[task] = usual
    if subject.run is not None and not question.pessimistic:
        for task, past in tasks_of(subject.run).items():
            if past.outcome == "succeeded" and past.took_s is not None:
                known[task] = past.took_s
    return {**known, **question.durations}


def _failure_model(seed: int, earlier: Mapping[str, DurationStats]) -> FailureModel:
    def roll(task: str, number: int) -> float:
        whole = sha256(f"{seed}/{number}/{task}".encode()).digest()
        return int.from_bytes(whole[:6], "big") / (1 << 48)

    rates = {task: pace.success_rate for task, pace in earlier.items()}
    return FailureModel(
        {t: rate for t, rate in rates.items() if rate is not None}, roll
    )


def _enough(
    simulations: Sequence[SimulationResult], without_limit: SimulationResult
) -> int:
    """Return the smallest number of jobs that is as fast as any larger one."""
    fastest = without_limit.makespan_s * (1 + 1e-9)
    as_fast: List[int] = [s.slots for s in simulations if s.makespan_s <= fastest]
    return max(min([*as_fast, without_limit.peak]), 1)
