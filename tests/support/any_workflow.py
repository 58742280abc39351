"""Random workflows for tests: every kind of task, any value in every field."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from provctl.core.model.workflow import (
    Command,
    Dependency,
    NushellCall,
    Placement,
    RetryPolicy,
    Script,
    SubWorkflow,
    Task,
    Undo,
    Workflow,
)
from tests.support.any_event import json_values

__all__ = ["any_workflow"]

NAMES = st.text(min_size=1, max_size=8)
SECONDS = st.floats(0, 1e6)
RECORDS = st.dictionaries(NAMES, json_values(), max_size=2)


def _lists() -> st.SearchStrategy[Any]:
    return st.lists(json_values(), max_size=3).map(tuple)


WORK: st.SearchStrategy[Any] = st.one_of(
    st.builds(NushellCall, module=NAMES, command=NAMES, args=_lists(), flags=RECORDS),
    st.builds(Script, text=NAMES, args=RECORDS),
    st.builds(Command, argv=_lists()),
)
ACTIONS = WORK | st.just(SubWorkflow())

NEEDS = st.builds(Dependency, NAMES, st.sampled_from(["success", "failure", "done"]))

RETRIES = st.builds(
    RetryPolicy,
    st.integers(1, 100),
    SECONDS,
    SECONDS,
    st.none() | SECONDS,
    st.floats(0, 1),
    st.lists(NAMES, max_size=2).map(tuple),
)
UNDOS = st.builds(
    Undo,
    WORK,
    st.sampled_from(["success", "begun"]),
    st.none() | SECONDS,
    RETRIES,
    st.booleans(),
)


PLACES = st.builds(
    Placement,
    NAMES,
    st.lists(NAMES, max_size=2).map(tuple),
    st.floats(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
)


@st.composite
def _task(draw: st.DrawFn, index: int) -> Task:
    return Task(
        id=draw(NAMES),
        index=index,
        action=draw(ACTIONS),
        needs=tuple(draw(st.lists(NEEDS, max_size=2))),
        parent=draw(st.none() | NAMES),
        when=draw(json_values()),
        priority=draw(st.integers(-1000, 1000)),
        timeout_s=draw(st.none() | SECONDS),
        retry=draw(RETRIES),
        env=draw(RECORDS),
        pools=draw(st.dictionaries(NAMES, st.integers(1, 9), max_size=2)),
        on_failure=draw(st.sampled_from(["fail", "continue", "rollback"])),
        undo=draw(st.none() | UNDOS),
        probe=draw(st.none() | WORK),
        secrets=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        secrets_once=draw(st.booleans()),
        on_interrupt=draw(st.sampled_from(["hold", "rerun", "fail"])),
        idempotent=draw(st.booleans()),
        keep_processes=draw(st.booleans()),
        place=draw(PLACES),
        finalizer=draw(st.booleans()),
        description=draw(st.text(max_size=8)),
    )


@st.composite
def any_workflow(draw: st.DrawFn) -> Workflow:
    """A workflow that can be stored, but need not make sense."""
    count = draw(st.integers(0, 3))
    return Workflow(
        name=draw(NAMES),
        tasks=tuple(draw(_task(index)) for index in range(count)),
        params=draw(RECORDS),
        timeout_s=draw(st.none() | SECONDS),
        description=draw(st.text(max_size=8)),
        library=draw(st.none() | NAMES),
        cwd=draw(NAMES),
        environment=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        source=draw(st.text(max_size=8)),
        on_cancel=draw(st.sampled_from(["stop", "rollback"])),
        on_timeout=draw(st.sampled_from(["stop", "rollback"])),
    )
