"""Whether a wish became a fact before its owner died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest

from provctl.app.written import end_of, is_written
from provctl.core import events as ev
from provctl.core import requests as rq
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.journal.folder import RunFolder

AT = 1000.0


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return submit(state_folder(tmp_path), a_workflow(task("a"), task("b")))


@pytest.mark.parametrize(
    ("fact", "wish"),
    [
        (lambda run: ev.RetryRequested(run, AT, []), rq.Retry),
        (lambda run: ev.RollbackRequested(run, AT), rq.Rollback),
        (lambda run: ev.RunResumed(run, AT), rq.Resume),
        (lambda run: ev.CancelRequested(run, AT), rq.Cancel),
        (lambda run: ev.RunPaused(run, AT), rq.Pause),
        (
            lambda run: ev.TaskResolved(run, AT, "a", "rerun"),
            lambda run: rq.Resolve(run, "a", "rerun"),
        ),
    ],
)
def test_a_fact_counts_from_where_the_journal_ended(
    run: RunFolder, fact: Callable[[str], Any], wish: Callable[[str], Any]
) -> None:
    start, request = end_of(run), wish(run.id)
    assert not is_written(run, request, start)
    append(run, [fact(run.id)])
    assert is_written(run, request, start)
    assert not is_written(run, request, end_of(run))


def test_of_another_task_it_is_another_decision(run: RunFolder) -> None:
    start = end_of(run)
    append(run, [ev.TaskResolved(run.id, AT, "b", "rerun")])
    assert not is_written(run, rq.Resolve(run.id, "a", "rerun"), start)


def test_a_line_that_is_not_whole_is_no_fact(run: RunFolder) -> None:
    start = end_of(run)
    append(run, [ev.RunResumed(run.id, AT)])
    whole = run.journal.read_bytes()
    for cut in (whole[:-1], whole[:-9] + b"x" + whole[-8:]):
        run.journal.write_bytes(cut)
        assert not is_written(run, rq.Resume(run.id), start)


def test_what_is_not_there_has_no_journal(tmp_path: Path) -> None:
    assert end_of(state_folder(tmp_path).run("bcdfghjkmn")) == 0
