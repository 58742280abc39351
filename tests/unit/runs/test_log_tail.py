"""Excerpts of a log: reading is limited, and only complete lines are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provctl.runs.log_tail import head_and_tail

if TYPE_CHECKING:
    from pathlib import Path

LINES = [f"line {n:03}" for n in range(1000)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.1.log"
    path.write_text("\n".join(LINES) + "\n")
    return path


def test_short_log_is_complete(log: Path) -> None:
    assert head_and_tail(log, 1000, 9000) == LINES


def test_too_many_lines_keep_both_ends(log: Path) -> None:
    told = head_and_tail(log, 100, 9000)
    gap = f"... see {log} for the lines omitted here"
    assert told == [*LINES[:25], gap, *LINES[-75:]]


def test_too_many_bytes_keep_both_ends(log: Path) -> None:
    told = head_and_tail(log, 1000, 900)
    at = told.index(f"... see {log} for the lines omitted here")
    assert told[:at] == LINES[:at]
    assert told[at + 1 :] == LINES[-(len(told) - at - 1) :]
    assert 20 <= at <= 25
    assert 70 <= len(told) - at - 1 <= 75


def test_endless_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "0.1.log"
    path.write_bytes(b"x" * 5000 + b"\xff")
    told = head_and_tail(path, 10, 400)
    assert len("".join(told)) <= 400 + len(told[-1]) + 400
    assert told[0] == "x" * 100


def test_missing_log_is_empty(tmp_path: Path) -> None:
    assert head_and_tail(tmp_path / "none", 10, 400) == []
