"""Events of every kind for tests: random ones, and one example of each."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Dict, Tuple, get_args

from hypothesis import strategies as st

from provctl.core.engine import events as ev
from provctl.core.model import status
from provctl.core.model.attempt_result import AttemptResult

__all__ = ["EXAMPLES", "KINDS", "any_event", "json_values"]

KINDS: Tuple[Any, ...] = ev.Event.__args__  # type: ignore[attr-defined]

TEXTS = st.text(max_size=20)
WORDS = st.sampled_from(["a", "g/x", "succeeded", "rerun", "é\u2028\ud800 \x00"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value."""
    atoms = st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS
    return st.recursive(
        atoms,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
        ),
        max_leaves=8,
    )


_BY_TYPE: Dict[str, st.SearchStrategy[Any]] = {
    "str": WORDS | TEXTS,
    "float": NUMBERS,
    "int": st.integers(),
    "bool": st.booleans(),
    "Optional[str]": st.none() | TEXTS,
    "Optional[int]": st.none() | st.integers(),
    "Optional[float]": st.none() | NUMBERS,
    "List[str]": st.lists(TEXTS, max_size=3),
    "Mapping[str, str]": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "Any": json_values(),
    "AttemptResult": st.from_type(AttemptResult),
    **{
        name: st.sampled_from(get_args(getattr(status, name)))
        for name in (
            "CancelCause",
            "Purpose",
            "RollbackCause",
            "RunOutcome",
            "TaskOutcome",
        )
    },
}


@st.composite
def any_event(draw: st.DrawFn, run: str = "r") -> ev.Event:
    """An event of any kind, with any allowed values in its fields."""
    kind = draw(st.sampled_from(KINDS))
    values = {
        f.name: draw(_BY_TYPE[str(f.type)]) for f in fields(kind) if f.name != "run"
    }
    event: ev.Event = kind(run=run, **values)
    return event


EXAMPLES: Tuple[ev.Event, ...] = (
    ev.RunSubmitted("r", 1000.5, "w", 3, "5" * 64, 2, "b", 4, fail_fast=True),
    ev.OwnershipTaken("r", 1001.0, "scheduler", 4242, "5320a08b"),
    ev.GroupStarted("r", 1001.25, "g"),
    ev.AttemptStarted("r", 1001.5, "g/x", 1),
    ev.AttemptDiscarded("r", 1002.0, "g/x", 1, "it never began"),
    ev.AttemptStarted("r", 1002.0, "g/x", 2),
    ev.AttemptAdopted("r", 1003.0, "g/x", 2),
    ev.AttemptFinished(
        *("r", 1004.0, "g/x", 2, "failed"),
        AttemptResult(3, None, 1002.5, 1003.5, 0.25, 4096, survivors=1),
        "exit code 3",
        retry_at=1009.0,
    ),
    ev.RetryDue("r", 1009.0, "g/x"),
    ev.AttemptStarted("r", 1009.0, "g/x", 3),
    ev.TaskHeld("r", 1010.0, "g/x", 3, "lost", "its supervisor died"),
    ev.TaskResolved("r", 1011.0, "g/x", "accept", "looked at it"),
    ev.GroupTimedOut("r", 1011.5, "g"),
    ev.GroupFinished("r", 1012.0, "g", "succeeded"),
    ev.AttemptStarted("r", 1012.0, "a", 1),
    ev.CancelRequested("r", 1013.0, "request", "enough", now=True),
    ev.AttemptStopping("r", 1013.0, "a", 1, "request", now=True),
    ev.AttemptFinished(
        "r", 1014.0, "a", 1, "cancelled", result=AttemptResult(signal=9)
    ),
    ev.TaskSkipped("r", 1014.0, "b", "its condition is false"),
    ev.TaskFailed("r", 1014.0, "c", "a has no output: it was cancelled"),
    ev.RunFinished("r", 1015.0, "cancelled"),
    ev.RetryRequested("r", 1016.0, ["g/x", "a"], downstream=True, reason="again"),
    ev.RunPaused("r", 1016.5, freeze=True, reason="maintenance"),
    ev.AttemptSuspended("r", 1016.5, "a", 1),
    ev.RunResumed("r", 1017.0, "over"),
    ev.AttemptResumed("r", 1017.0, "a", 1),
    ev.ProbeDue("r", 1018.0, "a", 1, "lost", "its supervisor died"),
    ev.AttemptStarted("r", 1018.5, "a", 2, "probe"),
    ev.RollbackRequested("r", 1019.0, "failure", "a", "g/x failed"),
    ev.RunFinished("r", 1020.0, "rolled_back"),
    ev.ProgressReported("r", 1020.0, "g/x", 3, 40.0, "pulling images"),
    ev.RunSubmitted("r", 1021.0, "w", 1, "5" * 64, labels={"env": "prod"}),
)
