"""The simulation makes the same decisions as the loop."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, Dict, List, Tuple

import pytest

from provctl.core.analysis.simulate import FailureModel, simulate
from provctl.core.model.workflow import RetryPolicy
from tests.support.fake_executor import ended
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import HandClock, Household, in_a_loop
from tests.support.workflows import a_workflow, group, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import Workflow
    from provctl.executors.protocol import LaunchSpec

POOLS = {"p": 3, "q": 1}
START = 1000.0
Starts = List[Tuple[str, int, float]]


def some_workflow(rng: random.Random) -> Workflow:
    """Forty tasks with dependencies, pools and priorities, some in a group."""
    tasks = [group("g", ["t3"])]
    names: List[str] = []
    for n in range(40):
        inside = n > 10 and n % 4 == 0
        others = [name for name in names if name.startswith("g/") == inside]
        needs = rng.sample(others, min(len(others), rng.randrange(3)))
        pools = rng.choice(({}, {}, {"p": 1}, {"p": 2}, {"q": 1}, {"p": 1, "q": 1}))
        names.append(f"g/t{n}" if inside else f"t{n}")
        tasks.append(
            task(
                names[-1],
                [(need, rng.choice(("success", "done"))) for need in needs],
                pools=pools,
                priority=rng.randrange(3),
                retry=RetryPolicy(attempts=rng.randrange(1, 4)),
            )
        )
    return a_workflow(*tasks, max_parallel=rng.choice((None, 4)))


def fails(name: str, attempt: int) -> bool:
    return (len(name) + 3 * attempt + ord(name[-1])) % 5 == 0


async def played(
    folder: Path, workflow: Workflow, took: Dict[str, int], slots: int
) -> Starts:
    """The starts of the real loop and their times; attempts end at their time."""
    starts: Starts = []
    running: List[Tuple[float, int, LaunchSpec]] = []
    clock = HandClock(START)

    def at_launch(order: LaunchSpec) -> None:
        place = order.place
        end = clock.time + took[place.task]
        heapq.heappush(running, (end, len(starts), order))
        starts.append((place.task, place.attempt, clock.time - START))

    state = state_folder(folder)
    submit(state, workflow, max_parallel=workflow.max_parallel)
    state.enqueue("r")
    house = Household(
        state, clock=clock, slots=slots, capacity=POOLS, at_launch=at_launch
    )
    await house.scheduler.acquire_queued()
    while running:
        clock.time = running[0][0]
        orders = []
        while running and running[0][0] == clock.time:
            orders.append(heapq.heappop(running)[2])
        house.executor.report(
            *(
                ended(o.place, exit_code=int(fails(o.place.task, o.place.attempt)))
                for o in orders
            )
        )
    assert house.scheduler.state.runs == {}
    return starts


@pytest.mark.parametrize("seed", range(12))
@in_a_loop
async def test_simulation_and_loop_start_tasks_at_the_same_times(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    workflow, slots = some_workflow(rng), rng.choice((1, 2, 5, 40))
    took = {each.id: rng.randrange(1, 9) for each in workflow.tasks}
    failure_model = FailureModel(
        {each.id: 0.5 for each in workflow.tasks},
        lambda name, number: 0.9 if fails(name, number) else 0.1,
    )
    foretold = simulate(
        workflow,
        slots=slots,
        capacity=POOLS,
        took_s=lambda each: took[each.id],
        failure_model=failure_model,
    )
    happened = await played(tmp_path, workflow, took, slots)
    told = [(each.task, each.attempt, each.start_s) for each in foretold.attempts]
    assert told == happened
    assert len(happened) > 20
