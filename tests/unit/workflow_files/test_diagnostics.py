"""How mistakes are printed, and how errors of Nickel are read."""

from __future__ import annotations

from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.base.cell_width import width_of
from provctl.errors import Diagnostic, InvalidWorkflow
from provctl.workflow_files.diagnostics import brief, render_mistakes
from provctl.workflow_files.formats.evaluator import text_literal
from provctl.workflow_files.formats.nickel_errors import Snippet, parse_errors
from provctl.workflow_files.problems import MAX_FOUND, ValidationIssues, suggestion


def test_every_mistake_is_printed_and_then_their_number() -> None:
    error = InvalidWorkflow(
        [
            Diagnostic("no `b`", "w.json", 12, 10, '"needs": ["b"]', 3, "add it"),
            Diagnostic("cannot be read", "w.json"),
        ]
    )
    assert (
        render_mistakes(error)
        == """w.json:12:10: no `b`
12 | "needs": ["b"]
   |          ^^^
help: add it

w.json: cannot be read

2 errors found"""
    )


def test_same_mistake_in_all_tasks_of_a_loop_is_printed_once() -> None:
    where = ("w.ncl", 3, 9, "needs = [x]", 1, "did you mean `y`?")
    wrong = [Diagnostic(f"task `t-{n}` needs `x`", *where) for n in range(6)]
    nowhere = Diagnostic("task `t-6` needs `x`", "w.ncl", hint=where[-1])
    elsewhere = Diagnostic("task `u` needs `x`", "w.ncl", 7, 1, "u", 1, where[-1])
    other = Diagnostic("task `t-0` needs `z`", *where)
    shown = render_mistakes(InvalidWorkflow([*wrong, nowhere, elsewhere, other]))
    assert shown.startswith(
        """w.ncl:3:9: task `t-0` needs `x`
3 | needs = [x]
  |         ^
help: did you mean `y`?
same for `t-1`, `t-2`, `t-3` and 3 more

w.ncl:7:1: task `u` needs `x`"""
    )
    assert "\nw.ncl:3:9: task `t-0` needs `z`\n" in shown
    assert shown.endswith("\n9 errors found")


def test_one_mistake_is_counted_in_the_singular() -> None:
    assert render_mistakes(InvalidWorkflow([Diagnostic("m", "f")])).endswith(
        "\n1 error found"
    )


def test_long_line_is_cut_around_the_marks() -> None:
    line = "x" * 10_000 + "HERE" + "y" * 10_000
    shown = render_mistakes(InvalidWorkflow([Diagnostic("m", "f", 1, 10_001, line, 4)]))
    _, text, marks, *_ = shown.split("\n")
    assert len(text) < 200
    assert text[marks.index("^") : marks.rindex("^") + 1] == "HERE"


def test_marks_are_below_tabs_and_wide_characters() -> None:
    shown = render_mistakes(InvalidWorkflow([Diagnostic("m", "f", 1, 3, "\t\tx", 1)]))
    assert "\n1 |         x\n  |         ^\n" in shown
    line = "漢字 é = e\u0301xy"
    shown = render_mistakes(InvalidWorkflow([Diagnostic("m", "f", 1, 11, line, 1)]))
    assert "\n  |            ^\n" in shown
    shown = render_mistakes(InvalidWorkflow([Diagnostic("m", "f", 1, 1, line, 2)]))
    assert "\n  | ^^^^\n" in shown


@pytest.mark.parametrize("width", [30, 60, 80, 160, 300])
@pytest.mark.parametrize("column", [1, 40, 75, 100, 197])
@pytest.mark.parametrize("letter", ["x", "漢"])
def test_marks_are_below_the_marked_text_at_any_width(
    width: int, column: int, letter: str
) -> None:
    line = letter * (column - 1) + "HERE" + letter * (197 - column)
    error = InvalidWorkflow([Diagnostic("m", "f", 1, column, line, 4)])
    _, text, marks, *_ = render_mistakes(error, width=width).split("\n")
    assert width_of(text) <= width
    assert width_of(text[: text.index("HERE")]) == marks.index("^")
    assert marks.count("^") == 4


def test_line_that_fits_is_printed_completely() -> None:
    line = "x" * 70 + "HERE"
    shown = render_mistakes(
        InvalidWorkflow([Diagnostic("m", "f", 1, 71, line, 4)]), width=80
    )
    assert f"\n1 | {line}\n" in shown


def test_file_cannot_send_escape_sequences_to_the_terminal() -> None:
    mistake = Diagnostic("a\x1b[31m", "f\n", 1, 1, "\x1b]0;t\x07", 1, "\x1b")
    assert "\x1b" not in render_mistakes(InvalidWorkflow([mistake]))


@given(
    st.builds(
        Diagnostic,
        st.text(),
        st.text(),
        st.integers(0, 9),
        st.integers(1, 99),
        st.text(),
        st.integers(0, 99),
        st.text(),
    )
)
def test_any_mistake_can_be_printed(mistake: Diagnostic) -> None:
    assert render_mistakes(InvalidWorkflow([mistake])).endswith("1 error found")


NICKEL = """\x1b[0m\x1b[1m\x1b[38;5;9merror\x1b[0m\x1b[1m: contract broken by the value of `k`
       my words\x1b[0m
  \x1b[36m┌─\x1b[0m python:1:55
  \x1b[36m│\x1b[0m
\x1b[36m1\x1b[0m \x1b[36m│\x1b[0m (import "/w.ncl") & {error: 1}
  \x1b[36m│\x1b[0m                     ----- expected type
  │
  ┌─ /w.ncl:6:24
  │
6 │    & { k = ["x"] }
  │            ^^^^^ applied to this expression
  │
  = do this

error: unbound identifier `b`
  ┌─ /v.ncl:4:10
  │\x20\x20
4 │    tasks = b
  │ ╭──────────^
5 │ │   & c
  │ ╰──────^ this is unbound
"""


def test_nickel_errors_are_parsed() -> None:
    first, second = parse_errors(NICKEL)
    assert first.message == "contract broken by the value of `k`: my words"
    assert first.snippets == [
        Snippet("python", 1, 55, 5),
        Snippet("/w.ncl", 6, 24, 5, primary=True),
    ]
    assert first.notes == ["do this"]
    assert second.message == "unbound identifier `b`"
    assert second.snippets == [
        Snippet("/v.ncl", 4, 10, 0, primary=True, label="this is unbound")
    ]


def test_other_text_is_not_parsed_as_a_diagnostic() -> None:
    assert parse_errors("something else\n  went wrong") == ()


@given(st.text())
def test_text_cannot_end_its_literal(text: str) -> None:
    literal = text_literal(text)
    inside = literal[1:-1]
    assert literal == f'"{inside}"'
    assert '"' not in inside
    assert "%" not in inside
    assert "\\" not in inside.replace("\\u{", "")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("nedes", ["name", "needs"], "did you mean `needs`?"),
        ("xyz", ["name"], ""),
        ("a", [], ""),
        ("t9999x", [f"t{i}" for i in range(50_000)], "did you mean `t999`?"),
    ],
)
def test_nearest_name_is_suggested(name: str, known: List[str], hint: str) -> None:
    assert suggestion(name, known) == hint


def test_brief_error_has_a_hundred_mistakes_and_short_lines() -> None:
    line = "a" * 5_000 + "!" + "b" * 5_000
    wrong = Diagnostic("m" * 2_000, "f", 1, 5_001, line, 1, "h" * 2_000)
    short = Diagnostic("short", "f", 2, 1, "\tshort line", 1, "hint")
    told = brief(InvalidWorkflow([short, *[wrong] * 10_000], others=7))
    assert told.mistakes[0] == short
    assert (len(told.mistakes), told.others) == (100, 9_908)
    last = told.mistakes[-1]
    assert "a!b" in last.source_line
    assert len(last.source_line) <= 160
    assert (len(last.message), len(last.hint)) == (1_000, 1_000)
    assert str(told).endswith("\nand 9908 more errors")
    again = brief(told)
    assert (again.mistakes, again.others) == (told.mistakes, told.others)


def test_number_of_stored_mistakes_is_limited() -> None:
    problems = ValidationIssues()
    for n in range(MAX_FOUND + 5):
        problems.add(("tasks", n), "wrong")
    assert (len(problems.found), problems.others) == (MAX_FOUND, 5)
    shown = render_mistakes(InvalidWorkflow([Diagnostic("one", "f")], others=4))
    assert shown.endswith("5 errors found")
