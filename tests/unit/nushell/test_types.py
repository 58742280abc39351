"""Conversion of values to the types of Nushell."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from provctl.nushell.types import conversion_code, expected, item_type, parse, validate


def refuses(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "5", "5"),
        ("string", "$(touch x)", "$(touch x)"),
        ("path", "~/x; rm", "~/x; rm"),
        ("glob", "*.nu", "*.nu"),
        ("int", "-12", -12),
        ("int", "1_000", 1000),
        ("float", "3", 3.0),
        ("float", "1e3", 1000.0),
        ("number", "3", 3),
        ("number", "3.5", 3.5),
        ("bool", "true", True),
        ("duration", "90sec", "90sec"),
        ("duration", "1h30m", "1hr 30min"),
        ("duration", "-1.5 hr 3µs", "-1.5hr 3us"),
        ("duration", "2wk 1day", "2wk 1day"),
        ("filesize", "1.5GB", "1.5GB"),
        ("filesize", "20", "20"),
        ("filesize", "512 MiB", "512 MiB"),
        ("datetime", "2026-01-31", "2026-01-31"),
        ("datetime", "2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00+01:00"),
        ("cell-path", "$.a.0.b", ["a", 0, "b"]),
        ("range", "1..10", "1..10"),
        ("range", "0..2..<10", "0..2..<10"),
        ("nothing", "null", None),
        ("list<int>", "[1, 2]", [1, 2]),
        ("list<any>", '[1, "a"]', [1, "a"]),
        (
            "record<a: int, b: list<string>>",
            '{"a": 1, "b": ["x"]}',
            {"a": 1, "b": ["x"]},
        ),
        ("record", '{"$output": 1}', {"$output": 1}),
        ("table<a: int>", '[{"a": 1}]', [{"a": 1}]),
        ("any", "5", 5),
        ("any", "007", "007"),
        ("any", "true", True),
        ("any", '{"a": 1}', {"a": 1}),
        ("any", "{a: 1}", "{a: 1}"),
        ("any", "NaN", "NaN"),
        ("any", "1e999", "1e999"),
        ("oneof<int, string>", "5", 5),
        ("oneof<int, string>", "5x", "5x"),
        ("oneof<string, nothing>", "5", "5"),
        ("external-argument", "x", "x"),
    ],
)
def test_words_are_converted_to_values(kind: str, text: str, value: Any) -> None:
    read = parse(kind, text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "5.0"),
        ("int", "x"),
        ("int", "9223372036854775808"),
        ("int", "٣"),
        ("float", "NaN"),
        ("float", "Infinity"),
        ("float", "abc"),
        ("number", '"3"'),
        ("bool", "yes"),
        ("duration", "5"),
        ("duration", "5 parsecs"),
        ("duration", ""),
        ("duration", "5sec; x"),
        ("filesize", "-5MB"),
        ("filesize", "5 parsecs"),
        ("datetime", "now"),
        ("cell-path", ""),
        ("range", "1"),
        ("range", "(1 | rm x)..2"),
        ("list<int>", '["a"]'),
        ("list<int>", "{}"),
        ("record<a: int>", '{"b": 1}'),
        ("record<a: int>", '{"a": "x"}'),
        ("table", '{"a": 1}'),
        ("nothing", "0"),
        ("oneof<int, bool>", "x"),
        ("closure(any)", "{|| 1}"),
        ("list<closure()>", "[1]"),
    ],
)
def test_words_of_another_type_are_refused(kind: str, text: str) -> None:
    assert refuses(lambda: parse(kind, text))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 5),
        ("int", True),
        ("int", 5.0),
        ("bool", "true"),
        ("duration", 5),
        ("filesize", 1.5),
        ("binary", [1]),
        ("list<string>", "a"),
    ],
)
def test_json_of_another_type_is_refused(kind: str, value: Any) -> None:
    assert refuses(lambda: validate(kind, value))


def test_types_that_json_lacks_are_converted_by_a_fixed_table() -> None:
    assert conversion_code("duration") == "into duration"
    assert conversion_code("list<filesize>") == "each {|item| $item | into filesize }"
    for kind in ("string", "list<string>", "record", "; rm", "list<; rm>", "x | rm"):
        assert conversion_code(kind) is None


def test_types_are_described_in_words() -> None:
    assert "whole number" in expected("int")
    assert "closure" in expected("closure(any)")
    assert item_type("list<string>") == "string"
    assert item_type("list") == "any"
    assert item_type("record<a: list<int>>") is None
