"""Expressions: references, resolving, conditions, renaming."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.model.expressions import (
    Reference,
    ValueMissing,
    evaluate_condition,
    references,
    rename,
    resolve,
)

OUTPUTS = {
    "server-1": {"ip": "10.0.0.1", "net": [{"mac": "aa"}], "a.b": {"c": 7}, "up": True},
    "count": 3,
    "tricky": {"$output": {"task": "count"}},
    "nothing": None,
}


def outputs(task: str) -> Any:
    if task not in OUTPUTS:
        message = f"task {task} has no output"
        raise ValueMissing(message)
    return OUTPUTS[task]


def outcomes(task: str) -> str:
    if task == "open":
        message = "open has not finished"
        raise ValueMissing(message)
    return "succeeded" if task in OUTPUTS else "failed"


def out(task: str, path: str = "") -> Any:
    return {"$output": {"task": task, "path": path}}


def test_references_are_in_written_order() -> None:
    value = {
        "b": [out("x", "p"), {"$format": ["{}{}", [out("y"), 1]]}],
        "a": {"$literal": out("hidden")},
        "c": {"$output": {"task": "z", "default": {"$outcome": "hidden"}}},
        "d": {"$outcome": "w"},
    }
    assert references(value) == (
        Reference("x", "p"),
        Reference("y"),
        Reference("z", is_optional=True),
        Reference("w", is_optional=True, is_outcome=True),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        ([1, {"a": None}], [1, {"a": None}]),
        (out("count"), 3),
        (out("server-1", "ip"), "10.0.0.1"),
        (out("server-1", "net.0.mac"), "aa"),
        (out("server-1", "a.b.c"), 7),
        ({"$format": ["{}:{}", [out("server-1", "ip"), 80]]}, "10.0.0.1:80"),
        ({"$format": ["{}", ["{}"]]}, "{}"),
        (
            {"$format": ["{} {} {}", [True, None, {"é": [1]}]]},
            'true null {"é":[1]}',
        ),
        ({"$format": ["{}", [{"$format": ["<{}>", [out("count")]]}]]}, "<3>"),
        ({"$literal": out("count")}, out("count")),
        ({"$output": {"task": "gone", "default": [out("x")]}}, [out("x")]),
        ({"$output": {"task": "nothing", "path": "a", "default": 0}}, 0),
        ({"$output": {"task": "count", "default": 0}}, 3),
        ([{"$outcome": "gone"}, {"$outcome": "count"}], ["failed", "succeeded"]),
        # An output is data, whatever it looks like.
        ([out("tricky")], [OUTPUTS["tricky"]]),
    ],
)
def test_resolve_returns_the_value(value: Any, expected: Any) -> None:
    assert resolve(value, outputs, outcomes) == expected


def test_resolve_does_not_change_its_argument() -> None:
    value = {"a": [out("count")]}
    resolve(value, outputs, outcomes)
    assert value == {"a": [out("count")]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            out("server-1", "mac"),
            "output of server-1 has no field `mac`; it has `ip`, `net`, `a.b`, `up`",
        ),
        (
            out("server-1", "net.0.ip"),
            "output of server-1 has no field `ip` in `net.0`; it has `mac`",
        ),
        (
            out("server-1", "net.5"),
            "output of server-1 has no field `5` in `net`; it is a list of length 1",
        ),
        (out("count", "x"), "output of count has no field `x`; it is a number"),
        (out("nothing", "x"), "output of nothing has no field `x`; it is null"),
        (out("gone"), "task gone has no output"),
    ],
)
def test_missing_value_lists_what_exists(value: Any, message: str) -> None:
    with pytest.raises(ValueMissing) as caught:
        resolve({"deep": [value]}, outputs, outcomes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (True, True),
        (False, False),
        (out("server-1", "up"), True),
        ({"$equals": [out("count"), 3.0]}, True),
        ({"$equals": [1, True]}, False),
        ({"$equals": [{"a": [1, {}]}, {"a": [1, {}]}]}, True),
        ({"$equals": [[1], [1, 2]]}, False),
        ({"$less": [2, out("count")]}, True),
        ({"$less": ["b", "a"]}, False),
        ({"$contains": [["a", 1], 1]}, True),
        ({"$contains": ["text", "ex"]}, True),
        ({"$contains": [[True], 1]}, False),
        ({"$not": {"$not": {"$equals": [1, 1]}}}, True),
        ({"$all": []}, True),
        ({"$any": []}, False),
        ({"$all": [True, {"$any": [False, True]}]}, True),
        ({"$all": [True, {"$not": True}]}, False),
        # One operand decides, wherever it stands.
        ({"$any": [out("gone"), True]}, True),
        ({"$all": [out("gone"), False]}, False),
    ],
)
def test_condition_is_evaluated(condition: Any, expected: bool) -> None:
    assert evaluate_condition(condition, outputs, outcomes) is expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (out("gone"), "task gone has no output"),
        (out("count"), "a condition must be true or false, not a number"),
        ({"$less": [1, "a"]}, "cannot order a number and text"),
        ({"$contains": [5, 5]}, "a number cannot contain a number"),
        ({"$not": out("gone")}, "task gone has no output"),
        ({"$any": [False, out("gone")]}, "task gone has no output"),
        ({"$all": [True, {"$not": out("gone")}]}, "task gone has no output"),
    ],
)
def test_condition_that_cannot_be_decided_raises(condition: Any, message: str) -> None:
    with pytest.raises(ValueMissing) as caught:
        evaluate_condition(condition, outputs, outcomes)
    assert str(caught.value) == message


def test_rename_changes_every_reference_but_no_literal() -> None:
    value = {
        "a": [out("x", "p"), {"$equals": [{"$output": {"task": "x"}}, 1]}],
        "b": {"$literal": out("x")},
    }
    assert rename(value, lambda task: f"g/{task}") == {
        "a": [out("g/x", "p"), {"$equals": [{"$output": {"task": "g/x"}}, 1]}],
        "b": {"$literal": out("x")},
    }


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


def test_deep_value_does_not_overflow_the_stack() -> None:
    value = nested(50_000, out("count"))
    assert references(value) == (Reference("count"),)
    deep = resolve(rename(value, str.upper), lambda task: task, outcomes)
    for _ in range(50_000):
        (deep,) = deep
    assert deep == "COUNT"
    condition: Any = True
    for _ in range(50_000):
        condition = {"$not": condition}
    assert evaluate_condition(condition, outputs, outcomes) is True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_literal_is_never_resolved(value: Any) -> None:
    assert resolve({"x": {"$literal": value}}, outputs, outcomes) == {"x": value}
    assert references({"$literal": value}) == ()


@given(JSON)
def test_output_is_never_resolved_again(value: Any) -> None:
    assert resolve([out("t")], lambda _: value, outcomes) == [value]


@given(JSON)
def test_value_equals_itself(value: Any) -> None:
    equal = {"$equals": [{"$literal": value}, out("t")]}
    assert evaluate_condition(equal, lambda _: value, outcomes)
