"""Rules for values in workflow files."""

from __future__ import annotations

import datetime
from typing import Any, List, Tuple

import pytest

from provctl.workflow_files.check_values import value_problems

OUT = {"$output": {"task": "a", "path": "b.0"}}


def found(value: Any, *, condition: bool = False) -> List[Tuple[Any, str]]:
    return list(value_problems(value, condition=condition))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, "a", {"b": [True, 1.5]}],
        OUT,
        {"x": {"$output": {"task": "a"}}},
        {"$output": {"task": "a", "path": "b", "default": {"$any": "data"}}},
        [{"$outcome": "a"}],
        {"$format": ["{}-{}", [OUT, {"$literal": {"$x": 1}}]]},
        {"$literal": {"$anything": {"$not": 5}}},
    ],
)
def test_valid_value_has_no_problem(value: Any) -> None:
    assert found(value) == []


@pytest.mark.parametrize(
    "condition",
    [
        True,
        OUT,
        {"$equals": [OUT, {"a": 1}]},
        {"$all": [{"$not": {"$less": [1, 2]}}, {"$any": []}, False]},
        {"$contains": [[1], 1]},
    ],
)
def test_valid_condition_has_no_problem(condition: Any) -> None:
    assert found(condition, condition=True) == []


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ([{"$outptu": {}}], (0,), "unknown special record `$outptu`"),
        ({"a": {"$output": {}, "b": 1}}, ("a",), "cannot have other fields"),
        ({"$output": "a"}, (), "takes a record with `task`, `path` and perhaps"),
        ({"$outcome": ""}, (), "`$outcome` takes the name of a task"),
        ({"$outcome": {"task": "a"}}, (), "`$outcome` takes the name of a task"),
        ({"$output": {"task": "a", "pat": ""}}, (), "takes a record"),
        ({"$output": {"task": 1}}, (), "must be text"),
        ({"$output": {"task": "a", "path": "b..c"}}, (), "an empty part"),
        ({"$output": {"task": "a", "path": "b" * 5000}}, (), "at most 4096"),
        ({"$format": ["{}", []]}, (), "has 1 `{}` but 0 values are given"),
        ({"$format": "{}"}, (), "takes a text and a list"),
        ({"$format": ["{}", [{"$no": 1}]]}, ("$format", 1, 0), "unknown special"),
        ({"$equals": [1, 2]}, (), "can only be used in `when`"),
        (float("nan"), (), "must be finite"),
        ("a" * (1 << 20) + "b", (), "at most 1048576 characters"),
        ({"a\ud800": 1}, (), "lone surrogate"),
        (datetime.date(2020, 1, 1), (), "not a JSON value"),
    ],
)
def test_invalid_value_is_reported(value: Any, path: Any, words: str) -> None:
    ((where, message),) = found(value)
    assert where == path
    assert words in message


@pytest.mark.parametrize(
    ("condition", "path", "words"),
    [
        ("yes", (), "a condition must be true, false or a record"),
        ({"a": 1}, (), "a condition must be true, false or a record"),
        ({"$format": ["", []]}, (), "`$format` is not a condition"),
        ({"$equals": [1]}, (), "takes a list of two values"),
        ({"$all": True}, (), "takes a list of conditions"),
        ({"$not": [True]}, ("$not",), "a condition must be true, false"),
        ({"$any": [True, 5]}, ("$any", 1), "not a number"),
        (
            {"$equals": [{"$not": True}, 1]},
            ("$equals", 0),
            "can only be used in `when`",
        ),
    ],
)
def test_invalid_condition_is_reported(condition: Any, path: Any, words: str) -> None:
    ((where, message),) = found(condition, condition=True)
    assert where == path
    assert words in message


def test_depth_is_limited_without_overflowing_the_stack() -> None:
    value: Any = []
    for _ in range(50_000):
        value = [value]
    ((where, message),) = found(value)
    assert len(where) == 101
    assert message == "values can be nested at most 100 levels deep"


def test_every_problem_is_found_in_order() -> None:
    value = [{"$a": 1}, "fine", {"b": [{"$c": 1}]}]
    assert [path for path, _ in found(value)] == [(0,), (2, "b", 0)]
