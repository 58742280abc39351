"""The transition table lists exactly what happens; an illegal event changes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Iterator, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine import events as ev
from provctl.core.engine import transitions
from provctl.core.engine.apply import apply, close_run, open_run
from provctl.core.engine.state import State
from provctl.core.engine.transitions import InvalidTransition
from tests.support.engine_driver import Closed, Dialogue, Opened, picture
from tests.support.histories import HISTORIES
from tests.support.invariants import audit
from tests.support.workflows import a_workflow, group, task

Edge = Tuple[str, str, str]


def written_edges() -> Set[Edge]:
    """The rows of the transition table."""
    rows = re.findall(
        r"^ {4}(\w+) +-> (\w+) +(.+)$", transitions.__doc__ or "", re.MULTILINE
    )
    return {
        (start, end, name)
        for start, end, names in rows
        for name in re.findall(r"\b[A-Z]\w+", names) or ["derived"]
    }


def edges_taken(dialogue: Dialogue) -> Iterator[Edge]:
    """The transitions of tasks in a dialogue, with their events."""
    state = State(slots=dialogue.slots, capacity=dialogue.capacity)
    for step in dialogue.history:
        if isinstance(step, Opened):
            open_run(state, step.submitted, step.workflow)
        elif isinstance(step, Closed):
            close_run(state, step.run)
        else:
            tasks = state.runs[step.run].tasks
            before = {name: task.status for name, task in tasks.items()}
            apply(state, step)
            for name, was in before.items():
                edge = (was, tasks[name].status, type(step).__name__)
                if edge[:2] == ("waiting", "ready"):
                    yield (*edge[:2], "derived")
                elif was != edge[1]:
                    yield edge


def test_transition_table_lists_exactly_the_transitions_of_the_histories() -> None:
    taken: Set[Edge] = set()
    for history in HISTORIES.values():
        dialogue = history.begin()
        for news, _ in history.lines:
            history.tell(dialogue, news)
        taken.update(edges_taken(dialogue))
    assert taken == written_edges()


RUNNING = ev.AttemptStarted("r", 1.0, "a", 1)

BROKEN = {
    "unknown run": ev.OwnershipTaken("x", 1.0, "scheduler", 1, "boot"),
    "it was already submitted": ev.RunSubmitted("r", 1.0, "w", 3, ""),
    "4 tasks are unfinished": ev.RunFinished("r", 1.0, "succeeded"),
    "no such task": ev.TaskSkipped("r", 1.0, "z", ""),
    "the task is waiting": ev.AttemptStarted("r", 1.0, "b", 1),
    "the task is running": ev.AttemptStarted("r", 1.0, "a", 2),
    "the latest attempt is 1": ev.AttemptFinished("r", 1.0, "a", 2, "succeeded"),
    "it is not a nested workflow": ev.GroupFinished("r", 1.0, "a", "succeeded"),
    "1 needs are not met": ev.GroupStarted("r", 1.0, "g"),
    "it has no probe": ev.ProbeDue("r", 1.0, "a", 1, "lost", ""),
}


@pytest.mark.parametrize(("story", "event"), BROKEN.items())
def test_illegal_event_is_refused_and_changes_nothing(
    story: str, event: ev.Event
) -> None:
    dialogue = Dialogue()
    dialogue.submit(
        a_workflow(task("a"), task("b", ["a"]), group("g", ["a"]), task("g/x"))
    )
    before = picture(dialogue.state)
    with pytest.raises(InvalidTransition, match=story) as caught:
        apply(dialogue.state, event)
    assert str(caught.value).startswith(f"{type(event).__name__} of {event.run}")
    assert picture(dialogue.state) == before


def test_group_has_no_attempts_and_closes_after_its_tasks() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(group("g"), task("g/x")))
    before = picture(dialogue.state)
    for event, story in (
        (ev.AttemptFinished("r", 1.0, "g", 0, "succeeded"), "the latest attempt is 0"),
        (ev.AttemptStopping("r", 1.0, "g", 0, "request"), "the latest attempt is 0"),
        (ev.GroupFinished("r", 1.0, "g", "succeeded"), "1 tasks are unfinished"),
        (ev.GroupTimedOut("r", 1.0, "g/x"), "it is not a nested workflow"),
    ):
        with pytest.raises(InvalidTransition, match=story):
            apply(dialogue.state, event)
        assert picture(dialogue.state) == before


@dataclass(frozen=True)
class _NewEvent:
    """An event that is missing in the table."""

    run: str
    at: float
    task: str


def test_event_that_the_table_does_not_list_is_refused() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a")))
    why = transitions.transition_error(dialogue.r, _NewEvent("r", 1.0, "a"))
    assert why == "the transition table does not list it"
    known = ev.AttemptAdopted("r", 1.0, "a", 1)
    assert transitions.transition_error(dialogue.r, known) == ""  # the control


def test_every_event_has_a_row_in_the_table() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a")))
    for kind in KINDS:
        values = {"run": "r", "at": 1.0, "task": "a", "attempt": 1, "tasks": []}
        event = kind(**{f.name: values.get(f.name, "a") for f in fields(kind)})
        why = transitions.transition_error(dialogue.r, event)
        assert why != "the transition table does not list it", kind.__name__


def test_finished_run_accepts_no_event() -> None:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a")))
    dialogue.hear("a exits 0")
    with pytest.raises(
        InvalidTransition, match="CancelRequested of r: the run is finished"
    ):
        apply(dialogue.state, ev.CancelRequested("r", 1.0))


KINDS: Tuple[Any, ...] = ev.Event.__args__  # type: ignore[attr-defined]
VALUES = {
    "run": st.sampled_from(["r", "r", "r", "x"]),
    "task": st.sampled_from(["a", "b", "c", "g", "g/x", "g/h", "t0", "t1", "z"]),
    "attempt": st.integers(0, 3),
    "outcome": st.sampled_from(["succeeded", "failed", "timed_out", "lost"]),
    "how": st.sampled_from(["rerun", "accept", "fail"]),
    "cause": st.sampled_from(["request", "timeout"]),
    "owner": st.just("scheduler"),
    "name": st.just("w"),
    "digest": st.just(""),
    "boot": st.just("b"),
    "reason": st.just("why"),
    "pid": st.just(1),
    "purpose": st.sampled_from(["run", "run", "undo", "probe"]),
    "to": st.sampled_from(["", "a", "z"]),
    "freeze": st.booleans(),
    "downstream": st.booleans(),
}
TASKS = {
    ev.RunSubmitted: st.just(1),
    ev.RetryRequested: st.lists(VALUES["task"], max_size=2),
}


@st.composite
def any_event(draw: st.DrawFn) -> ev.Event:
    kind = draw(st.sampled_from(KINDS))
    names = [name for name in kind.__dataclass_fields__ if name in VALUES]
    values = {name: draw(VALUES[name]) for name in names}
    if kind in TASKS:
        values["tasks"] = draw(TASKS[kind])
    event: ev.Event = kind(at=1000.0, **values)
    return event


@given(st.data())
def test_any_event_is_refused_without_change_or_keeps_the_invariants(
    data: st.DataObject,
) -> None:
    history = HISTORIES[data.draw(st.sampled_from(sorted(HISTORIES)))]
    dialogue = history.begin()
    for news, _ in history.lines[: data.draw(st.integers(1, len(history.lines)))]:
        history.tell(dialogue, news)
    event = data.draw(any_event())
    before = picture(dialogue.state)
    try:
        apply(dialogue.state, event)
    except InvalidTransition:
        assert picture(dialogue.state) == before
    else:
        audit(dialogue.state)
        dialogue.settle()
        audit(dialogue.state)
