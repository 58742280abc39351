"""Values that Nushell would change or refuse are refused, with their location."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provctl.errors import UsageError
from provctl.nushell.quoting import MAX_DEPTH, encode_payload


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0.5,
        2**63 - 1,
        -(2**63),
        "é \U0001f600 \0 \x7f",
        [],
        {},
        {"a": [1, {"b": None}]},
        nested(MAX_DEPTH),
    ],
)
def test_json_is_encoded_unchanged_in_ascii(value: Any) -> None:
    text = encode_payload(value)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, float("nan")]}, "a.1 cannot be passed to Nushell: nan"),
        ({"a": float("inf")}, "a cannot be passed to Nushell: inf"),
        ([2**63], "0 cannot be passed to Nushell: the number is larger than 64 bits"),
        (-(2**63) - 1, "the value cannot be passed to Nushell: the number"),
        ({"a": "\ud800"}, "a cannot be passed to Nushell: it is not valid Unicode"),
        ({"\udfff": 1}, "not valid Unicode"),
        ({1: 2}, "field 1 is not text"),
        ({"a": b"x"}, "bytes is not a JSON type"),
        (nested(MAX_DEPTH + 1), "nested deeper than"),
        (nested(100_000), "nested deeper than"),
    ],
)
def test_other_value_is_refused_with_its_location(value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encode_payload(value)
