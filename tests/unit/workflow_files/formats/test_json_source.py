"""JSON files: values of any depth, locations, and syntax errors."""

from __future__ import annotations

import json
from typing import Any, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.errors import InvalidWorkflow
from provctl.workflow_files.formats.json_source import read_json
from provctl.workflow_files.problems import DocPath, ValidationIssue
from provctl.workflow_files.source_text import SourceText

DEPTH = 1_500

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def marked(text: str, path: DocPath, *, on_key: bool = False) -> Tuple[int, str]:
    """The line of a path and the marked text."""
    problem = ValidationIssue(path, "", on_key=on_key)
    (place,) = read_json(SourceText("w.json", text)).places([problem])
    assert place is not None
    end = place.column - 1 + place.span
    return place.line, place.text[place.column - 1 : end]


TEXT = """{
  "a": [1, {"b": "x\\"y"}],
\t"c": {}
}
"""


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        (("a",), 2, '[1, {"b": "x\\"y"}]'),
        (("a", 0), 2, "1"),
        (("a", 1, "b"), 2, '"x\\"y"'),
        (("c",), 3, "{}"),
        (("c", "gone", 3), 3, "{}"),
        ((), 1, "{"),
    ],
)
def test_value_has_a_location(path: DocPath, line: int, text: str) -> None:
    assert marked(TEXT, path) == (line, text)


def test_key_has_a_location() -> None:
    assert marked(TEXT, ("a", 1, "b"), on_key=True) == (2, '"b"')
    assert marked(TEXT, ("c", "gone"), on_key=True) == (3, "{}")


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "expecting value"),
        ('{"a" 1}', 1, 6, "expecting ':' delimiter"),
        ('{\n "a": 1\n "b": 2}', 3, 2, "expecting ',' delimiter"),
        ("[1,,2]", 1, 4, "expecting value"),
        ('{"a": 1} x', 1, 10, "extra data"),
        ('{"a": NaN}', 1, 7, "NaN is not a valid JSON number"),
        ('"a', 1, 1, "unterminated string"),
        ("[1" + "0" * 5000 + "]", 1, 2, "too many digits"),
        ('[1,\n "\\uD83D\\ude00\\ud83d"]', 2, 2, "a lone surrogate"),
        ('{"a": {"\\udc00": 1}}', 1, 8, "a lone surrogate"),
    ],
)
def test_syntax_error_has_a_location(
    text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        read_json(SourceText("w.json", text))
    (mistake,) = caught.value.mistakes
    assert (mistake.line, mistake.column) == (line, column)
    assert mistake.message.startswith("not JSON: ")
    assert words in mistake.message


def test_each_repeated_key_is_a_mistake() -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        read_json(SourceText("w.json", '{"a": 1,\n "b": {"c": 1, "c": 2},\n "a": 3}'))
    places = [(m.line, m.column, m.message) for m in caught.value.mistakes]
    assert places == [
        (2, 16, "duplicate key `c`"),
        (3, 2, "duplicate key `a`"),
    ]


def too_deep(inner: str) -> str:
    """Deeper than json.loads can read, so that the scanner has to."""
    return "[" * DEPTH + inner + "]" * DEPTH


def test_deep_value_does_not_overflow_the_stack() -> None:
    text = "[" * 4_000 + '{"a": 1}' + "]" * 4_000
    value = read_json(SourceText("w.json", text)).value
    for _ in range(4_000):
        (value,) = value
    assert value == {"a": 1}


@given(JSON)
def test_scanner_reads_what_json_writes(value: Any) -> None:
    text = json.dumps(value, indent=1)
    deep = read_json(SourceText("w.json", too_deep(text))).value
    for _ in range(DEPTH):
        (deep,) = deep
    assert deep == value


@given(st.text(alphabet='{}[]",:1e-. tru\\n', max_size=12))
def test_scanner_is_as_strict_as_json(text: str) -> None:
    try:
        json.loads(f"[{text}]")
    except ValueError:
        with pytest.raises(InvalidWorkflow):
            read_json(SourceText("w.json", too_deep(f"[{text}]")))
    else:
        read_json(SourceText("w.json", too_deep(f"[{text}]")))
