"""Simulation: runs a workflow with the real scheduling decisions on a virtual clock.

Uses the same `open_run`, `decide`, `observe` and `apply` as the scheduler; only the
clock is a number, and an attempt ends after its given duration. Outputs are unknown, so
conditions count as true, and values are not filled in.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.analysis.critical_path import critical_path
from provctl.core.engine.apply import apply, open_run
from provctl.core.engine.decide import (
    LaunchAttempt,
    blocking_resource,
    decide,
    next_deadline,
)
from provctl.core.engine.events import AttemptFinished, RunSubmitted
from provctl.core.engine.observe import observe
from provctl.core.engine.requests import ExitedReport
from provctl.core.engine.state import State
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import Command, SubWorkflow

if TYPE_CHECKING:
    from provctl.core.model.workflow import Task, Workflow


_RUN = "simulated"
_SAME = 1e-9  # relative to the whole; two times that differ by less are the same


@light_dataclass
class FailureModel:
    """How attempts fail: `rates` are the success rates of attempts, by task.

    `roll` returns a number from 0 up to 1, always the same for the same task and
    number: positive numbers are attempts, negative ones the waits after them.
    """

    rates: Mapping[str, float]
    roll: Callable[[str, int], float]


@light_dataclass
class SimulatedAttempt:
    """One attempt, in seconds from the start; `well` is whether it succeeded."""

    task: str
    attempt: int
    start_s: float
    end_s: float
    well: bool


@light_dataclass
class SimulationResult:
    """The result of a simulation. Times in seconds, `attempts` ordered by start.

    `peak` is the maximum number of running tasks; `tail_s` how long some slot was idle
    at the end. `waits` is how long ready tasks waited, by what they waited for:
    "slots", or a resource as in `core.engine.state.State.used`. `spent` has the time of
    each task that ran, including the waits between its attempts.
    """

    slots: int
    outcome: str
    makespan_s: float
    work_s: float
    peak: int
    tail_s: float
    waits: Mapping[str, float]
    attempts: Sequence[SimulatedAttempt]
    spent: Mapping[str, float]
    skipped: Sequence[str]

    @property
    def utilisation(self) -> float:
        """The share of the time of all slots that was used, from 0 to 1."""
        whole = self.slots * self.makespan_s
        return self.work_s / whole if whole else 0.0


def simulate(
    workflow: Workflow,
    *,
    slots: int,
    capacity: Mapping[str, int],
    took_s: Callable[[Task], float],
    failure_model: Optional[FailureModel] = None,
) -> SimulationResult:
    """Simulate a checked workflow with these slots and pools.

    `took_s` gives the duration of an attempt in seconds; it is not called for nested
    workflows. Without `failure_model` every attempt succeeds. Timeouts are ignored.
    """
    return _Play(
        workflow, State(slots=slots, capacity=capacity), took_s, failure_model
    ).whole()


def critical_path_length(
    workflow: Workflow, simulation: SimulationResult
) -> Tuple[List[str], float]:
    """Return the critical path and its length in seconds: no run can be shorter.

    Skipped tasks take no time.
    """
    skipped = set(simulation.skipped)
    tasks = [
        replace(task, needs=()) if task.id in skipped else task
        for task in workflow.tasks
    ]
    path, timings = critical_path(
        tasks, lambda task: simulation.spent.get(task.id, 0.0)
    )
    return path, sum(timings[task].took_s for task in path)


def lower_bound(simulation: SimulationResult, critical_s: float) -> str:
    """Return what decides how long it takes: "needs", "slots", or a resource."""
    if not simulation.waits or simulation.makespan_s <= critical_s * (1 + _SAME):
        return "needs"
    return max(simulation.waits, key=lambda name: simulation.waits[name])


class _Play:
    """A simulated run, from its start to its end."""

    def __init__(
        self,
        workflow: Workflow,
        state: State,
        took_s: Callable[[Task], float],
        failure_model: Optional[FailureModel],
    ) -> None:
        self._state = state
        self._took_s = {
            task.id: took_s(task) for task in _executable_tasks(workflow.tasks)
        }
        self._failure_model = failure_model
        self._now = 0.0
        self._ends: List[Tuple[float, int, SimulatedAttempt]] = []
        self._attempts: List[SimulatedAttempt] = []
        self._spent: Dict[str, float] = {}
        self._waits: Dict[str, float] = {}
        self._peak = 0
        self._full_until = 0.0
        submitted = RunSubmitted(
            _RUN, 0.0, workflow.name, len(workflow.tasks), "",
            max_parallel=workflow.max_parallel,
        )  # fmt: skip
        hollow = replace(
            workflow, tasks=tuple(map(_hollow, workflow.tasks)), timeout_s=None
        )
        open_run(state, submitted, hollow)
        self._run = state.runs[_RUN]

    def whole(self) -> SimulationResult:
        while True:
            self._begin()
            if self._run.outcome is not None:
                break
            self._wait()
            self._end()
        return SimulationResult(
            slots=self._state.slots,
            outcome=self._run.outcome,
            makespan_s=self._now,
            work_s=sum(span.end_s - span.start_s for span in self._attempts),
            peak=self._peak,
            tail_s=self._now - self._full_until,
            waits=self._waits,
            attempts=self._attempts,
            spent=self._spent,
            skipped=[
                name
                for name, task in self._run.tasks.items()
                if task.outcome == "skipped"
            ],
        )

    def _begin(self) -> None:
        """Do all that is due now, as the scheduler's loop does."""
        while True:
            instructions = decide(self._state, self._now)
            if not instructions:
                break
            for instruction in instructions:
                apply(self._state, instruction.event)
                if isinstance(instruction, LaunchAttempt):
                    event = instruction.event
                    self._launch(event.task, event.attempt)
        self._peak = max(self._peak, self._state.running)

    def _launch(self, task: str, attempt: int) -> None:
        end = self._now + self._took_s[task]
        well = self._failure_model is None or (
            self._failure_model.roll(task, attempt)
            < self._failure_model.rates.get(task, 1.0)
        )
        span = SimulatedAttempt(task, attempt, self._now, end, well)
        heapq.heappush(self._ends, (end, len(self._attempts), span))
        self._attempts.append(span)

    def _wait(self) -> None:
        """Advance the clock to the next end of an attempt or of a delay."""
        news = [self._ends[0][0]] if self._ends else []
        deadline = next_deadline(self._state)
        following = min([*news, deadline] if deadline is not None else news)
        held_up = blocking_resource(self._state)
        if held_up is not None:
            self._waits[held_up] = self._waits.get(held_up, 0.0) + following - self._now
        if self._state.running >= self._state.slots:
            self._full_until = following
        self._now = following

    def _end(self) -> None:
        """Attempts that end at the same time are reported together."""
        while self._ends and self._ends[0][0] <= self._now:
            _, _, span = heapq.heappop(self._ends)
            dice = (
                self._failure_model.roll(span.task, -span.attempt)
                if self._failure_model
                else 0.0
            )
            report = ExitedReport(
                _RUN, span.task, span.attempt, "exit",
                AttemptResult(
                    0 if span.well else 1,
                    started_at=span.start_s, finished_at=span.end_s,
                ),
            )  # fmt: skip
            spent = self._spent.get(span.task, 0.0) + span.end_s - span.start_s
            for event in observe(self._state, report, self._now, dice):
                apply(self._state, event)
                if isinstance(event, AttemptFinished) and event.retry_at is not None:
                    spent += max(event.retry_at - self._now, 0.0)
            self._spent[span.task] = spent


def _executable_tasks(tasks: Sequence[Task]) -> List[Task]:
    return [task for task in tasks if not isinstance(task.action, SubWorkflow)]


def _hollow(task: Task) -> Task:
    """A task with all fields that decide when it runs, but without an action."""
    return replace(
        task,
        action=task.action if isinstance(task.action, SubWorkflow) else Command(()),
        when=None,
        env={},
        timeout_s=None,
        undo=None,
        probe=None,
        on_failure="continue" if task.on_failure == "continue" else "fail",
    )
