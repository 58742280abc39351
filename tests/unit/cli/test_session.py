"""Every verb prints records in the same formats, without control characters."""

from __future__ import annotations

import json
from typing import List, Mapping

import pytest

from provctl.base.text import plain
from provctl.cli.session import Session, emit

ROWS: List[Mapping[str, object]] = [
    {"id": "a", "name": "first", "extra": None},
    {"id": "b2", "name": "日本", "extra": [1, "x"]},
    {"id": "c", "name": "evil\x1b[2J\n", "extra": True},
]


def printed(output: str, capsys: pytest.CaptureFixture[str]) -> str:
    emit(Session(output=output), ROWS, ("id", "name", "extra"), name="id")
    return capsys.readouterr().out


def test_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed("table", capsys) == (
        "ID  NAME           EXTRA\n"
        "a   first          -\n"
        'b2  日本           [1, "x"]\n'
        "c   evil\\x1b[2J\\n  true\n"
    )


def test_empty_table_has_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    emit(Session(), [], ("id", "name"), name="id")
    assert capsys.readouterr().out == "ID  NAME\n"


def test_json_format_is_one_list(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed("json", capsys)
    assert json.loads(text) == ROWS
    assert text.isascii()
    assert "\x1b" not in text


def test_jsonl_format_is_one_record_per_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed("jsonl", capsys).splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_name_format_is_one_value_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed("name", capsys) == "a\nb2\nc\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("día → 日", "día → 日"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("tab\tand\r", "tab\\tand\\r"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown
