"""Checks the counters of a state against a full count of its tasks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from provctl.core.model.status import FAILURES
from provctl.core.model.workflow import SubWorkflow
from tests.support.engine_driver import lane_of

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, State, TaskState

__all__ = ["audit", "needs_allow", "over_capacity"]


def audit(state: State) -> None:
    """Assert that all counters of a state equal a full count."""
    assert state.running == sum(len(_live(run)) for run in state.runs.values())
    assert state.used == _used(state)
    for run in state.runs.values():
        _audit_run(run)
    in_line = [entry[1:] for key in state.queues for entry in lane_of(state, key)]
    ready = _with_status(state, "ready")
    assert sorted(in_line) == sorted(r for r in ready if not state.runs[r[0]].paused)
    for queue in state.queues.values():
        _, run_id, task_id = queue[0]
        assert state.runs[run_id].tasks[task_id].status == "ready"
    timed = [(run, task) for _, run, task in state.timers]
    assert len(timed) == len(set(timed))
    assert set(_with_status(state, "retrying")) <= set(timed)


def over_capacity(state: State) -> List[str]:
    """Usage beyond the capacity, except by a task that needs more than all."""
    broken = ["slots"] if state.running > state.slots else []
    takers: Dict[str, int] = Counter()
    for run in state.runs.values():
        for task in _live(run):
            for resource, _ in _wants(run, task):
                takers[resource] += 1
    for resource, amount in state.used.items():
        kind, _, name = resource.partition(":")
        size = (
            state.runs[name].submitted.max_parallel
            if kind == "run"
            else state.capacity.get(name)
        )
        if size is not None and amount > size and takers[resource] > 1:
            broken.append(resource)
    return broken


def needs_allow(run: RunState, task: TaskState) -> bool:
    """Whether all dependencies of a task are met, and its group is open."""
    parent = task.task.parent
    if parent is not None and run.tasks[parent].status != "running":
        return False
    if task.task.finalizer and not _others_have_ended(run, task):
        return False
    return all(_met(run.tasks[need.task], need.on) for need in task.task.needs)


def _others_have_ended(run: RunState, finalizer: TaskState) -> bool:
    """Whether all tasks of its level have ended, but for finalizers."""
    return all(
        other.status == "finished"
        for other in run.tasks.values()
        if other.task.parent == finalizer.task.parent and not other.task.finalizer
    )


def _met(task: TaskState, on: str) -> bool:
    if task.status != "finished":
        return False
    failed = task.outcome in FAILURES
    tolerated = failed and task.task.on_failure == "continue"
    return {
        "done": True,
        "failure": failed,
        "success": task.outcome == "succeeded" or tolerated,
    }[on]


def _audit_run(run: RunState) -> None:
    tasks = run.tasks.values()
    bucket = [t.outcome if t.status == "finished" else t.status for t in tasks]
    assert {k: n for k, n in run.counts.items() if n} == Counter(bucket)
    assert sum(run.counts.values()) == len(run.tasks)
    assert run.live == len(_live(run))
    assert run.open_tasks == sum(task.status != "finished" for task in tasks)
    bad = {*FAILURES, "undo_failed"}
    ended = [t for t in tasks if t.status == "finished"]
    assert set(run.failed) == {t.task.id for t in ended if t.outcome in bad}
    moving = ("running", "retrying", "held")
    assert set(run.active) == {t.task.id for t in tasks if t.status in moving}
    assert not run.ended_levels
    assert run.open_finalizers == _open_finalizers(run, None)
    if run.rolling_back:
        return  # then it counts what is not undone
    for group, children in run.children.items():
        left = sum(run.tasks[child].status != "finished" for child in children)
        assert run.tasks[group].as_group().open_children == left
        known = run.tasks[group].as_group()
        assert known.open_finalizers == _open_finalizers(run, group)


def _open_finalizers(run: RunState, level: Optional[str]) -> int:
    names = run.finalizers.get(level, ())
    return sum(run.tasks[name].status != "finished" for name in names)


def _live(run: RunState) -> List[TaskState]:
    return [
        task
        for task in run.tasks.values()
        if task.status == "running" and not isinstance(task.task.action, SubWorkflow)
    ]


def _wants(run: RunState, task: TaskState) -> List[Tuple[str, int]]:
    wanted = [(f"pool:{name}", amount) for name, amount in task.task.pools.items()]
    if run.submitted.max_parallel is not None:
        wanted.append((f"run:{run.submitted.run}", 1))
    return wanted


def _used(state: State) -> Dict[str, int]:
    used: Dict[str, int] = Counter()
    for run in state.runs.values():
        for task in _live(run):
            for resource, amount in _wants(run, task):
                used[resource] += amount
    return dict(used)


def _with_status(state: State, status: str) -> List[Tuple[str, str]]:
    return [
        (run_id, task_id)
        for run_id, run in state.runs.items()
        for task_id, task in run.tasks.items()
        if task.status == status
    ]
