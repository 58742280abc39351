"""Tasks that hold what they take before they start: others start beside them."""

from __future__ import annotations

from typing import Iterator, List

from provctl.core.engine import events as ev
from provctl.core.engine.apply import open_run
from provctl.core.engine.decide import LaunchAttempt, decide, start
from provctl.core.engine.run_queue import RESERVATIONS_MAX, Reservations
from provctl.core.engine.state import State
from tests.support.workflows import a_workflow, task


def a_state(*names: str, slots: int = 10, **pools: int) -> State:
    """A run whose tasks are all ready; `p-...` takes one of the pool."""
    state = State(slots=slots, capacity=pools)
    tasks = [
        task(name, pools={"p": 1} if name.startswith("p-") else {}) for name in names
    ]
    workflow = a_workflow(*tasks)
    open_run(state, ev.RunSubmitted("r", 1.0, "w", len(tasks), digest=""), workflow)
    return state


def starts(state: State, reserved: Reservations) -> Iterator[str]:
    """What is decided to start, each reserved in its turn."""
    while True:
        instructions = decide(state, 1.0, frozenset(), reserved)
        if not instructions:
            return
        (launch,) = instructions
        assert isinstance(launch, LaunchAttempt)
        run = state.runs["r"]
        reserved.add(run, run.tasks[launch.event.task])
        yield launch.event.task


def reserve(state: State, *names: str) -> Reservations:
    reserved = Reservations()
    for name in names:
        reserved.add(state.runs["r"], state.runs["r"].tasks[name])
    return reserved


def test_who_is_reserved_is_passed_over_in_the_order_of_all() -> None:
    names = [f"t{number:02}" for number in range(20)]
    state = a_state(*names, slots=100)
    assert list(starts(state, reserve(state, "t00", "t03"))) == [
        name for name in names if name not in ("t00", "t03")
    ]


def test_a_reservation_takes_a_slot_until_it_is_discarded() -> None:
    state = a_state("a", "b", "c", slots=2)
    reserved = Reservations()
    assert list(starts(state, reserved)) == ["a", "b"]
    assert decide(state, 1.0, frozenset(), reserved) == []
    reserved.discard("r", "a")
    reserved.discard("r", "a")  # once more changes nothing
    assert list(starts(state, reserved)) == ["a"]


def test_there_are_not_more_than_can_be_looked_past() -> None:
    names = [f"t{number}" for number in range(RESERVATIONS_MAX + 2)]
    state = a_state(*names, slots=1000)
    reserved = Reservations()
    assert list(starts(state, reserved)) == names[:RESERVATIONS_MAX]
    reserved.discard("r", "t7")
    assert list(starts(state, reserved)) == ["t7"]


def test_a_reservation_takes_its_pools() -> None:
    state = a_state("p-1", "p-2", "q", p=1)
    reserved = reserve(state, "p-1")
    found: List[str] = list(starts(state, reserved))
    assert found == ["q"]
    reserved.discard("r", "p-1")
    assert list(starts(state, reserved)) == ["p-1"]
    assert reserved.used == {"pool:p": 1}


def test_the_control_without_a_reservation_the_first_comes_again() -> None:
    state = a_state("a", "b")
    for _ in range(2):
        (launch,) = decide(state, 1.0)
        assert isinstance(launch, LaunchAttempt)
        assert launch.event.task == "a"


def test_what_is_prepared_starts_as_any_other() -> None:
    state = a_state("a", "b")
    assert [start(state, "r", "a", 2.0)] == decide(state, 2.0)
