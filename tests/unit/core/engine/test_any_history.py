"""Whatever happens, in whatever order: what must hold of the core after each step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Set, Tuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from provctl.core.engine import events as ev
from provctl.core.engine.reopen import downstream
from provctl.core.engine.requests import (
    AdoptedReport,
    Cancel,
    ExitedReport,
    NeverStartedReport,
    Pause,
    Request,
    ResolveTask,
    Resume,
    Rollback,
    UnknownReport,
)
from provctl.core.engine.requests import (
    RetryRun as RetryAgain,
)
from provctl.core.engine.snapshot import restore, snapshot
from provctl.core.engine.state import State
from provctl.core.engine.view import view
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.expressions import references
from provctl.core.model.workflow import (
    Command,
    Dependency,
    RetryPolicy,
    SubWorkflow,
    Task,
    Undo,
    Workflow,
)
from provctl.errors import ProvctlError
from provctl.storage.journal.codec import START, decode, encode
from tests.support.engine_driver import Closed, Dialogue, Opened, picture, replayed
from tests.support.invariants import audit, needs_allow, over_capacity
from tests.support.workflows import a_workflow, group, output, task

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.model.status import DependencyOutcome, ExitCause, TaskOutcome

NEEDS: st.SearchStrategy[DependencyOutcome] = st.sampled_from(
    ["success", "success", "failure", "done"]
)


@st.composite
def tasks_of(draw: st.DrawFn, prefix: str = "", depth: int = 0) -> List[Task]:
    """Up to four tasks of one level, each after some earlier ones; and groups."""
    level: List[Task] = []
    found: List[Task] = []
    for letter in "abcd"[: draw(st.integers(0 if depth else 1, 4))]:
        before = [each for each in level if draw(st.booleans())]
        fields = draw(policies(before))
        needs = tuple(Dependency(each.id, draw(NEEDS)) for each in before)
        name = prefix + letter
        if depth < 2 and draw(st.integers(0, 4)) == 0:
            made = group(name, timeout_s=draw(st.sampled_from([None, 20])), **fields)
            inside = draw(tasks_of(f"{name}/", depth + 1))
        else:
            made, inside = draw(plain(name, {**fields, "env": draw(uses(before))})), []
        placed = Task(**{**vars(made), "needs": needs})
        level.append(placed)
        found += [placed, *inside]
    return [*found, *draw(finalizers_of(prefix, level))]


@st.composite
def finalizers_of(draw: st.DrawFn, prefix: str, level: List[Task]) -> List[Task]:
    """Up to two finalizers of a level; the second may need the first."""
    found: List[Task] = []
    for letter in "yz"[: draw(st.integers(0, 2))]:
        fields = {
            "on_failure": draw(st.sampled_from(["fail", "fail", "continue"])),
            "when": draw(st.sampled_from([None, None, None, FAILED])),
            "env": draw(uses(level)),
        }
        made = draw(plain(prefix + letter, fields))
        needs = tuple(
            Dependency(each.id, draw(NEEDS)) for each in found if draw(st.booleans())
        )
        changed = {"needs": needs, "undo": None, "finalizer": True}
        found.append(Task(**{**vars(made), **changed}))
    return found


FAILED = {"$equals": [{"$run": "outcome"}, "failed"]}


@st.composite
def plain(draw: st.DrawFn, name: str, fields: Any) -> Task:
    """A task with retries and resources."""
    return task(
        name,
        retry=RetryPolicy(draw(st.integers(1, 3)), draw(st.sampled_from([0, 5]))),
        pools=draw(st.dictionaries(st.sampled_from("pq"), st.integers(1, 3))),
        on_interrupt=draw(st.sampled_from(["hold", "rerun", "fail"])),
        probe=draw(st.sampled_from([None, None, Command(("ask",))])),
        undo=draw(st.none() | undos()),
        **fields,
    )


def uses(before: List[Task]) -> st.SearchStrategy[Dict[str, Any]]:
    """Perhaps the output or the outcome of an earlier task."""
    some: List[Dict[str, Any]] = [{"N": output(each.id)} for each in before]
    some += [{"N": {"$outcome": each.id}} for each in before]
    optional = [{"task": each.id, "default": 0} for each in before]
    some += [{"N": {"$output": body}} for body in optional]
    return st.sampled_from([{}, {}, *some])


def undos() -> st.SearchStrategy[Undo]:
    """The undo of a task."""
    return st.builds(
        Undo,
        st.just(Command(("delete",))),
        st.sampled_from(["success", "begun"]),
        retry=st.builds(RetryPolicy, st.integers(1, 2)),
        idempotent=st.booleans(),
    )


@st.composite
def policies(draw: st.DrawFn, before: List[Task]) -> Any:
    """Fields that tasks and groups share."""
    whens: List[Any] = [None, None, None, False]
    whens += [{"$equals": [output(each.id), 1]} for each in before]
    return {
        "priority": draw(st.integers(-1, 1)),
        "on_failure": draw(st.sampled_from(["fail", "continue", "rollback"])),
        "when": draw(st.sampled_from(whens)),
    }


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    policy = st.sampled_from(["stop", "stop", "rollback"])
    return a_workflow(
        *draw(tasks_of()),
        timeout_s=draw(st.sampled_from([None, 60])),
        on_cancel=draw(policy),
        on_timeout=draw(policy),
    )


class AnyHistory(RuleBasedStateMachine):
    """An owner of some runs, with any possible report or request at any time."""

    @initialize(slots=st.integers(1, 4), pool=st.integers(1, 3), workflow=workflows())
    def begin(self, slots: int, pool: int, workflow: Workflow) -> None:
        self.dialogue = Dialogue(slots=slots, capacity={"p": pool})
        self.begun: Set[Tuple[str, str, int]] = set()
        self.submitted = 0
        self.submit(workflow)

    @property
    def state(self) -> State:
        return self.dialogue.state

    # -- what happens ----------------------------------------------------------------

    @precondition(lambda self: self.submitted < 4)
    @rule(
        workflow=workflows(),
        priority=st.integers(0, 1),
        max_parallel=st.sampled_from([None, None, 1, 2]),
        fail_fast=st.booleans(),
    )
    def submit(self, workflow: Workflow, **fields: Any) -> None:
        self.submitted += 1
        self.dialogue.submit(workflow, run=f"run{self.submitted}", **fields)
        self.note_starts()

    @precondition(lambda self: self.live())
    @rule(data=st.data(), ending=st.sampled_from(["ok", "ok", "bad", "late", "told"]))
    def end(self, data: st.DataObject, ending: str) -> None:
        key = data.draw(st.sampled_from(self.live()))
        causes: Dict[str, ExitCause] = {"late": "timeout", "told": "stop"}
        cause = causes.get(ending, "exit")
        code = 3 if ending == "bad" else 0
        report = ExitedReport(*key, cause, AttemptResult(code), output=len(key[1]))
        self.hear(report)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), how=st.sampled_from(["lost", "interrupted"]))
    def lose(self, data: st.DataObject, how: TaskOutcome) -> None:
        self.hear(UnknownReport(*data.draw(st.sampled_from(self.live())), how, "gone"))

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        self.hear(
            NeverStartedReport(*data.draw(st.sampled_from(self.live())), "never began")
        )

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        self.hear(AdoptedReport(*data.draw(st.sampled_from(self.live()))))

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def tell_old_news(self, data: st.DataObject) -> None:
        old = sorted(self.begun - set(self.live()))
        if old:
            before = picture(self.state)
            key = data.draw(st.sampled_from(old))
            self.hear(ExitedReport(*key, "exit", AttemptResult(0)))
            assert picture(self.state) == before

    @precondition(lambda self: self.open_runs())
    @rule(data=st.data(), now=st.booleans())
    def cancel(self, data: st.DataObject, now: bool) -> None:
        run = data.draw(st.sampled_from(self.open_runs()))
        self.dialogue.request(Cancel(run, now=now))
        self.note_starts()

    @precondition(lambda self: self.held())
    @rule(data=st.data(), how=st.sampled_from(["rerun", "accept", "fail"]))
    def resolve(self, data: st.DataObject, how: str) -> None:
        self.dialogue.request(
            ResolveTask(*data.draw(st.sampled_from(self.held())), how)
        )
        self.note_starts()

    @precondition(lambda self: self.state.runs)
    @rule(data=st.data())
    def operate(self, data: st.DataObject) -> None:
        """Pause, resume, retry or roll back, if that is accepted now."""
        run = data.draw(st.sampled_from(sorted(self.state.runs)))
        names = sorted(self.state.runs[run].tasks)
        some = st.lists(st.sampled_from(names), max_size=2).map(tuple)
        wishes: List[st.SearchStrategy[Request]] = [
            st.builds(Pause, st.just(run), st.booleans()),
            st.builds(Resume, st.just(run)),
            st.builds(RetryAgain, st.just(run), some, st.booleans()),
            st.builds(Rollback, st.just(run), st.sampled_from(["", *names])),
        ]
        before = picture(self.state)
        try:
            self.dialogue.request(data.draw(st.one_of(wishes)))
        except ProvctlError:
            assert picture(self.state) == before
        self.note_starts()

    @rule(seconds=st.sampled_from([1, 5, 30]))
    def wait(self, seconds: float) -> None:
        self.dialogue.advance(seconds)
        self.note_starts()

    @precondition(lambda self: self.submitted > 2 and self.state.runs)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.state.runs)))
        self.dialogue.close(run)
        self.begun = {key for key in self.begun if key[0] != run}
        self.note_starts()

    # -- what must hold --------------------------------------------------------------

    @invariant()
    def the_books_are_right(self) -> None:
        audit(self.state)
        assert over_capacity(self.state) == []
        assert not self.state.due
        assert not self.state.ending

    @invariant()
    def a_replay_gives_the_same(self) -> None:
        again = replayed(self.dialogue.history, like=self.state)
        assert picture(again) == picture(self.state)

    @invariant()
    def a_checkpoint_taken_now_gives_the_same(self) -> None:
        again = from_checkpoints(self.state)
        assert in_any_order(picture(again)) == in_any_order(picture(self.state))

    @invariant()
    def what_is_shown_adds_up(self) -> None:
        for run in self.state.runs.values():
            shown = view(run)
            assert sum(shown.counts.values()) == shown.total == len(shown.tasks)
            assert (shown.status == "finished") == (shown.outcome is not None)

    @invariant()
    def no_success_rests_on_what_is_gone(self) -> None:
        """No success depends on a task that is undone or was repeated later."""
        began, undone = self.last_times()
        for name, run in self.state.runs.items():
            if run.outcome != "succeeded":
                continue
            for one, before in succeeded_after(run):
                start = began.get((name, one.task.id), -1)
                assert undone.get((name, before.task.id), -1) <= start
                if before.task.id in used_by(one) and before.outcome == "succeeded":
                    assert began.get((name, before.task.id), -1) <= start

    def last_times(self) -> Tuple[Dict[Any, int], Dict[Any, int]]:
        """When the last attempt of each task started and its last undo finished."""
        began: Dict[Any, int] = {}
        undone: Dict[Any, int] = {}
        for when, step in enumerate(self.dialogue.history):
            key = (step.run, getattr(step, "task", "")) if hasattr(step, "run") else ()
            if isinstance(step, ev.AttemptStarted) and step.purpose == "run":
                began[key] = when
            elif isinstance(step, ev.AttemptFinished) and step.outcome == "undone":
                undone[key] = when
        return began, undone

    def teardown(self) -> None:
        """Every run finishes once all attempts end and all decisions are made."""
        if not hasattr(self, "dialogue"):
            return
        for _ in range(1000):
            if not self.open_runs():
                break
            for key in self.live():
                self.hear(ExitedReport(*key, "exit", AttemptResult(0)))
            for run, name in self.held():
                self.dialogue.request(ResolveTask(run, name, "accept"))
            for run in self.open_runs():
                if self.state.runs[run].paused:
                    self.dialogue.request(Resume(run))
            self.wait(30)
        assert not self.open_runs()
        self.the_books_are_right()
        assert (self.state.running, self.state.used) == (0, {})
        assert (self.state.queues, self.state.timers) == ({}, [])
        told = replayed(map(through_the_codec, self.dialogue.history), like=self.state)
        assert picture(told) == picture(self.state)

    # -- who is where ----------------------------------------------------------------

    def hear(self, report: Any) -> None:
        self.dialogue.report(report)
        self.note_starts()

    def note_starts(self) -> None:
        """No attempt starts twice, before its dependencies are met, or after a stop."""
        for launch in self.dialogue.launches:
            event = launch.event
            key = (event.run, event.task, event.attempt)
            assert key not in self.begun
            self.begun.add(key)
            run = self.state.runs[event.run]
            started = run.tasks[event.task]
            if event.purpose == "undo":
                assert all(
                    is_undone(run, each) for each in downstream(run, [event.task])
                )
            elif event.purpose == "run":
                assert needs_allow(run, started)
            assert not run.stop_level_of(started) or started.stop_level
        self.dialogue.launches.clear()

    def open_runs(self) -> List[str]:
        runs = self.state.runs.items()
        return sorted(name for name, run in runs if run.outcome is None)

    def live(self) -> List[Tuple[str, str, int]]:
        return [
            (name, each.task.id, each.attempt)
            for name, run in self.state.runs.items()
            for each in run.tasks.values()
            if each.status == "running"
            and not isinstance(each.task.action, SubWorkflow)
        ]

    def held(self) -> List[Tuple[str, str]]:
        return [
            (name, each)
            for name, run in self.state.runs.items()
            for each in held_of(run)
        ]


def succeeded_after(run: RunState) -> Iterator[Tuple[TaskState, TaskState]]:
    """Each successful task, and each task that it or its group depends on."""
    for task_id, one in run.tasks.items():
        around: Optional[str] = task_id
        while one.outcome == "succeeded" and around is not None:
            for need in run.tasks[around].task.needs:
                yield one, run.tasks[need.task]
            around = run.tasks[around].task.parent


def used_by(one: TaskState) -> Set[str]:
    """The tasks whose outputs a task uses."""
    return {each.task for each in references([one.task.env, one.task.when])}


def held_of(run: RunState) -> List[str]:
    return [name for name, each in run.tasks.items() if each.status == "held"]


def from_checkpoints(state: State) -> State:
    """The state of the next owner, which reads all runs from their checkpoints."""
    again = State(slots=state.slots, capacity=state.capacity)
    for name, run in state.runs.items():
        again.arrivals = run.arrival
        data = json.loads(json.dumps(snapshot(state, name)))
        restore(again, run.submitted, run.workflow, data)
    again.arrivals = state.arrivals
    return again


def in_any_order(told: Dict[str, Any]) -> Dict[str, Any]:
    """A picture in which used resources have no order; nothing depends on it."""
    return {**told, "used": sorted(told["used"])}


def is_undone(run: RunState, name: str) -> bool:
    """Whether a rollback would have nothing to undo for a task."""
    return run.tasks[name].purpose != "undo" or run.tasks[name].outcome == "undone"


def through_the_codec(step: Any) -> Any:
    """An event as the next owner reads it."""
    if isinstance(step, (Opened, Closed)):
        return step
    line, _ = encode(step, seq=1, durable=0, prev=START)
    event: Event = decode(line[:-1], step.run).event
    return event


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    settings.default, max_examples=settings().max_examples // 2, stateful_step_count=40
)
