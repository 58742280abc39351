"""Drives the core in tests: reports and requests in, instructions and events out.

A dialogue is written in lines, so that a history reads as it happened:

    a exits 0            the latest attempt of task `a` exited by itself
    a returns [1, 2]     ... with 0, and this JSON as its output
    a times out          ... at its timeout
    a cannot start       its program could not be started
    a is stopped         ... because it was stopped
    a is lost            its supervisor died (`a is interrupted`: the machine did)
    a is void            it was decided but never started
    a finds no room      ... because of a shortage of the machine
    a is adopted         it outlived its owner
    cancel, cancel now   an operator cancels the run
    rerun a, accept a, fail a   ... resolves a held task
    pause, freeze, resume       ... pauses, freezes or resumes the run
    again, again downstream     ... retries failed tasks, and their dependents
    only a, from a              ... retries this task, and its dependents
    undo all, undo after a      ... rolls the run back
    wait 30              so many seconds pass

and the core answers with its instructions, and with the events it derives:

    start a, start a again (a later attempt), undo a, probe a, stop a, stop a now,
    freeze a, thaw a, roll back,
    skip a, refuse a (failed before any attempt), retry a (its delay is over),
    open g, close g succeeded, overtime g (a nested workflow),
    cancel timeout, end succeeded
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    List,
    Mapping,
    Optional,
    Tuple,
    Union,
)

from provctl.core.engine import events as ev
from provctl.core.engine import requests as rq
from provctl.core.engine.apply import apply, close_run, open_run
from provctl.core.engine.decide import Instruction, LaunchAttempt, StopAttempt, decide
from provctl.core.engine.observe import observe
from provctl.core.engine.run_queue import is_queued
from provctl.core.engine.state import (
    AttemptState,
    GroupState,
    QueueEntry,
    ResourceKey,
    RunState,
    State,
    TaskState,
)
from tests.support.fake_executor import exited

if TYPE_CHECKING:
    from provctl.core.model.status import ExitCause
    from provctl.core.model.workflow import Workflow

__all__ = ["Closed", "Dialogue", "Opened", "lane_of", "picture", "replayed"]


@dataclass(frozen=True)
class Opened:
    """The owner acquired a run."""

    submitted: ev.RunSubmitted
    workflow: Workflow


@dataclass(frozen=True)
class Closed:
    """The owner released a run."""

    run: str


Step = Union[Opened, Closed, ev.Event]

RUN = "r"  # the run that is meant unless one is named, as in `other:a exits 0`


@dataclass
class Dialogue:
    """An owner without disk and processes, with a clock set by hand."""

    slots: int = 10
    capacity: Mapping[str, int] = field(default_factory=dict)
    now: float = 1000.0
    dice: float = 0.0
    lacking: FrozenSet[str] = frozenset()  # of which other owners leave too little

    def __post_init__(self) -> None:
        self.state = State(slots=self.slots, capacity=self.capacity)
        self.history: List[Step] = []
        self.launches: List[LaunchAttempt] = []
        self._said: List[str] = []

    # -- what goes in ----------------------------------------------------------------

    def submit(self, workflow: Workflow, run: str = RUN, **fields: Any) -> List[str]:
        """Submit and acquire a run; return the instructions."""
        count = len(workflow.tasks)
        submitted = ev.RunSubmitted(
            run, self.now, workflow.name, count, digest="", **fields
        )
        open_run(self.state, submitted, workflow)
        self.history.append(Opened(submitted, workflow))
        return self.settle()

    def close(self, run: str = RUN) -> List[str]:
        """Release a run, finished or not."""
        close_run(self.state, run)
        self.history.append(Closed(run))
        return self.settle()

    def hear(self, line: str) -> List[str]:
        """Process one line; return the instructions."""
        first, _, rest = line.partition(" ")
        if first == "wait":
            return self.advance(float(rest))
        if first == "cancel":
            return self.request(rq.Cancel(RUN, now=rest == "now"))
        if first in ("rerun", "accept", "fail"):
            return self.request(rq.ResolveTask(RUN, rest, first))
        if first in _WISHES:
            return self.request(_WISHES[first](rest))
        return self.report(self._report(first, rest))

    def request(self, request: rq.Request) -> List[str]:
        """Admit a request; return the instructions."""
        return self.settle(rq.admit(self.state, request, self.now))

    def report(self, report: rq.Report) -> List[str]:
        """Observe a report of an executor; return the instructions."""
        return self.settle(observe(self.state, report, self.now, self.dice))

    def advance(self, seconds: float) -> List[str]:
        """Advance the clock; return the instructions."""
        self.now += seconds
        return self.settle()

    def settle(self, events: Iterable[ev.Event] = ()) -> List[str]:
        """Apply events and follow decisions until nothing is left; return the words."""
        for event in events:
            self._record(event)
        while True:
            instructions = decide(self.state, self.now, self.lacking)
            if not instructions:
                break
            for instruction in instructions:
                self._record(instruction.event)
                self._said.append(self._words(instruction))
                if isinstance(instruction, LaunchAttempt):
                    self.launches.append(instruction)
        said, self._said = self._said, []
        return said

    def _record(self, event: ev.Event) -> None:
        apply(self.state, event)
        self.history.append(event)

    # -- what is known ---------------------------------------------------------------

    @property
    def r(self) -> RunState:
        """The run `r`."""
        return self.state.runs[RUN]

    def task(self, name: str) -> TaskState:
        """One task, as named in a line: of run `r`, or `other:a`."""
        run, task = _place(name)
        return self.state.runs[run].tasks[task]

    def ended(
        self, name: str, cause: ExitCause = "exit", **fields: Any
    ) -> rq.ExitedReport:
        """The report that an attempt exited; by itself and with 0 by default."""
        return exited(self._try(name), cause, self.now, fields)

    def outcomes(self) -> Dict[str, Optional[str]]:
        """The outcomes of all finished tasks."""
        return {name: task.outcome for name, task in self.r.tasks.items()}

    def _report(self, name: str, what: str) -> rq.Report:
        verb, _, rest = what.partition(" ")
        if verb == "exits":
            return self.ended(name, exit_code=int(rest))
        if verb == "returns":
            return self.ended(name, output=json.loads(rest))
        key = self._try(name)
        reports: Dict[str, Callable[[], rq.Report]] = {
            "cannot start": lambda: self.ended(
                name, exit_code=None, problem="cannot start it", ran=False
            ),
            "times out": lambda: self.ended(name, "timeout", exit_code=None, signal=15),
            "is stopped": lambda: self.ended(name, "stop", exit_code=0),
            "is lost": lambda: rq.UnknownReport(*key, "lost", "gone"),
            "is interrupted": lambda: rq.UnknownReport(*key, "interrupted", "gone"),
            "finds no room": lambda: rq.NeverStartedReport(
                *key, "no room: make some", shortage=True
            ),
            "is void": lambda: rq.NeverStartedReport(*key, "never began"),
            "is adopted": lambda: rq.AdoptedReport(*key),
        }
        return reports[what]()

    def _try(self, name: str) -> Tuple[str, str, int]:
        return (*_place(name), self.task(name).attempt)

    def _words(self, instruction: Instruction) -> str:
        event: Any = instruction.event
        where = "" if event.run == RUN else f"{event.run}:"
        if isinstance(instruction, LaunchAttempt):
            task = self.task(where + event.task)
            number = event.attempt if event.purpose == "run" else task.counted_attempts
            again = " again" if number > 1 and event.purpose != "probe" else ""
            return f"{_STARTS[event.purpose]} {where}{event.task}{again}"
        if isinstance(instruction, StopAttempt):
            return f"stop {where}{event.task}{' now' if event.now else ''}"
        if isinstance(event, ev.RollbackRequested):
            return "roll back"
        if isinstance(event, ev.CancelRequested):
            return f"cancel {where}{event.cause}"
        if isinstance(event, ev.RunFinished):
            return f"end {where}{event.outcome}"
        ended = f" {event.outcome}" if isinstance(event, ev.GroupFinished) else ""
        return f"{_VERBS[type(event)]} {where}{event.task}{ended}"


def _place(name: str) -> Tuple[str, str]:
    run, _, task = name.rpartition(":")
    return run or RUN, task


_WISHES: Dict[str, Callable[[str], rq.Request]] = {
    "pause": lambda _: rq.Pause(RUN),
    "freeze": lambda _: rq.Pause(RUN, freeze=True),
    "resume": lambda _: rq.Resume(RUN),
    "again": lambda rest: rq.RetryRun(RUN, downstream=rest == "downstream"),
    "only": lambda rest: rq.RetryRun(RUN, (rest,)),
    "from": lambda rest: rq.RetryRun(RUN, (rest,), downstream=True),
    "undo": lambda rest: rq.Rollback(RUN, "" if rest == "all" else rest.split()[-1]),
}
_STARTS = {"run": "start", "undo": "undo", "probe": "probe"}
_VERBS: Dict[type, str] = {
    ev.AttemptSuspended: "freeze",
    ev.AttemptResumed: "thaw",
    ev.TaskSkipped: "skip",
    ev.TaskFailed: "refuse",
    ev.RetryDue: "retry",
    ev.GroupStarted: "open",
    ev.GroupFinished: "close",
    ev.GroupTimedOut: "overtime",
}


def replayed(history: Iterable[Step], like: State) -> State:
    """A new state with the same history."""
    state = State(slots=like.slots, capacity=like.capacity)
    for step in history:
        if isinstance(step, Opened):
            open_run(state, step.submitted, step.workflow)
        elif isinstance(step, Closed):
            close_run(state, step.run)
        else:
            apply(state, step)
    return state


def picture(state: State) -> Dict[str, Any]:
    """The whole state as plain data, to compare. Heaps are listed in order."""
    told = {name: _plain(value) for name, value in vars(state).items()}
    told["runs"] = {name: _parts(run) for name, run in state.runs.items()}
    for run in told["runs"].values():
        run["tasks"] = {name: _parts(task) for name, task in run["tasks"]}
    told["queues"] = {key: lane_of(state, key) for key in state.queues}
    told["timers"] = sorted(state.timers)
    return told


def lane_of(state: State, key: ResourceKey) -> List[QueueEntry]:
    """The tasks of a queue in order; without entries of removed ones."""
    return sorted({entry for entry in state.queues[key] if is_queued(state, entry)})


def _parts(
    thing: Union[RunState, TaskState, AttemptState, GroupState],
) -> Dict[str, Any]:
    return {name: _plain(getattr(thing, name)) for name in thing.__slots__}


def _plain(value: Any) -> Any:
    """A copy; of a dict one with its order, because decisions depend on it."""
    if isinstance(value, (AttemptState, GroupState)):
        return _parts(value)
    return list(value.items()) if isinstance(value, dict) else value
