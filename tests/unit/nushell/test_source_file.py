"""Errors of Nushell name the lines of the workflow file, if they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provctl.nushell.error_summary import error_summary, first_report
from provctl.nushell.source_file import in_its_lines, with_origins

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    folder = tmp_path / "attempts"
    folder.mkdir()
    return folder / "3.1u.in"


def report(file: Path, line: int = 7) -> bytes:
    return f"Error: x\n\n  x bad\n   ,-[{file}:{line}:5]\n".encode()


def test_script_keeps_its_line_numbers() -> None:
    text = in_its_lines("one\ntwo", "/w/deploy.ncl", 7)
    assert text.splitlines()[6:] == ["one", "two"]
    assert text.splitlines()[1:6] == [""] * 5


@pytest.mark.parametrize(("file", "line"), [("/w.ncl", 0), ("/w.ncl", 1), ("/a\nb", 7)])
def test_script_without_a_location_is_unchanged(file: str, line: int) -> None:
    assert in_its_lines("one", file, line) == "one"


def test_log_names_the_workflow_file(attempt: Path) -> None:
    attempt.write_text(in_its_lines("one", "/w/a [b].ncl", 7), encoding="utf-8")
    log = b"before\n" + report(attempt) + b"after\n"
    assert with_origins(log).splitlines()[4] == b"   ,-[/w/a [b].ncl:7:5]"
    assert with_origins(log).endswith(b"after\n")


def test_log_names_the_script_if_its_location_is_unknown(attempt: Path) -> None:
    attempt.write_text("one", encoding="utf-8")
    assert b"[script:7:5]" in with_origins(report(attempt))
    attempt.unlink()
    assert b"[script:7:5]" in with_origins(report(attempt))


def test_similar_text_is_unchanged(attempt: Path) -> None:
    for log in (b"see /x/attempts/1.1.in:3:4", b"[/x/1.1.in:3:4]", b"[/x/y.nu:3:4]"):
        assert with_origins(log) == log


def test_link_in_place_of_a_script_is_not_followed(
    attempt: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text(in_its_lines("one", "/w/deploy.ncl", 7), encoding="utf-8")
    attempt.symlink_to(other)
    assert b"[script:7:5]" in with_origins(report(attempt))


UNCLOSED = """\
Error: nu::parser::unclosed_delimiter

  x Unclosed delimiter.
   ,-[/w/deploy.ncl:11:7]
 9 | let x = [1 2
   :         |
   :         `-- unclosed — opens here (need `]`)
10 | 5
11 | $x
   :   `-- expected `]` here
   `----
  help: Add a matching `]`
"""


def test_unclosed_bracket_is_reported_where_it_opens() -> None:
    told = first_report(UNCLOSED.splitlines())
    assert (told.file, told.line) == ("/w/deploy.ncl", 9)
    assert told.code == "nu::parser::unclosed_delimiter"
    assert error_summary(UNCLOSED.splitlines())[0].endswith("(/w/deploy.ncl:9)")
    assert first_report(["nothing"]).message == ""
