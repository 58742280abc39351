"""Runs are found by what users type; mistyped ids get a suggestion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provctl.errors import NotFound
from provctl.runs.find import find_run, find_runs
from tests.support.run_folders import state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import StateDir


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    """Runs w1, d1, w2, d2, of two workflows, in this order."""
    folder = state_folder(tmp_path)
    for number, (name, run) in enumerate(
        [("web", "wbb1"), ("deploy", "dbb1"), ("web", "wbb2"), ("deploy", "dcc2")]
    ):
        submit(folder, a_workflow(task("a"), name=name), run, at=1000.0 + number)
    return folder


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("wbb1", "wbb1"),
        ("dc", "dcc2"),
        ("@last", "dcc2"),
        ("@last~0", "dcc2"),
        ("@last~1", "wbb2"),
        ("@last~3", "wbb1"),
        ("@last:web", "wbb2"),
        ("@last:web~1", "wbb1"),
        ("@last:deploy", "dcc2"),
    ],
)
def test_text_finds_its_run(folder: StateDir, text: str, run: str) -> None:
    assert find_run(folder, text) == run
    assert [each.id for each in find_runs(folder, text)] == [run]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (
            "w",
            "is ambiguous, it matches 2 runs: wbb1, wbb2",
            "give more characters of the id",
        ),
        ("wbx1", "run wbx1 not found", "did you mean wbb"),
        ("web", "run web not found", "its latest run is @last:web"),
        ("deplyo", "run deplyo not found", "did you mean @last:deploy?"),
        ("@last:wbe", "no run of workflow wbe", "did you mean @last:web?"),
        ("@last~9", "there are only 4 such runs", "provctl list"),
        ("@lats", "run @lats not found", "provctl help selectors"),
        ("zzz", "run zzz not found", "see: provctl list"),
    ],
)
def test_missing_run_gets_a_suggestion(
    folder: StateDir, text: str, said: str, hint: str
) -> None:
    with pytest.raises(NotFound, match=said) as caught:
        find_run(folder, text)
    assert hint in str(caught.value.hint)


def test_message_about_one_run_uses_the_singular(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    submit(folder, a_workflow(task("a")), "wbb1", at=1000.0)
    with pytest.raises(NotFound, match="there is only 1 such run"):
        find_run(folder, "@last~1")
