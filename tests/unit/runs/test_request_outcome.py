"""Whether a request became an event before its owner died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest

from provctl.core.engine import events as ev
from provctl.core.engine import requests as rq
from provctl.runs.owner_client import journal_size, was_applied
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir

AT = 1000.0


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return submit(state_folder(tmp_path), a_workflow(task("a"), task("b")))


@pytest.mark.parametrize(
    ("fact", "wish"),
    [
        (lambda run: ev.RetryRequested(run, AT, []), rq.RetryRun),
        (lambda run: ev.RollbackRequested(run, AT), rq.Rollback),
        (lambda run: ev.RunResumed(run, AT), rq.Resume),
        (lambda run: ev.CancelRequested(run, AT), rq.Cancel),
        (lambda run: ev.RunPaused(run, AT), rq.Pause),
        (
            lambda run: ev.TaskResolved(run, AT, "a", "rerun"),
            lambda run: rq.ResolveTask(run, "a", "rerun"),
        ),
    ],
)
def test_only_events_after_the_given_offset_count(
    run: RunDir, fact: Callable[[str], Any], wish: Callable[[str], Any]
) -> None:
    start, request = journal_size(run), wish(run.id)
    assert not was_applied(run, request, start)
    append(run, [fact(run.id)])
    assert was_applied(run, request, start)
    assert not was_applied(run, request, journal_size(run))


def test_decision_about_another_task_does_not_count(run: RunDir) -> None:
    start = journal_size(run)
    append(run, [ev.TaskResolved(run.id, AT, "b", "rerun")])
    assert not was_applied(run, rq.ResolveTask(run.id, "a", "rerun"), start)


def test_incomplete_line_is_no_event(run: RunDir) -> None:
    start = journal_size(run)
    append(run, [ev.RunResumed(run.id, AT)])
    whole = run.journal.read_bytes()
    for cut in (whole[:-1], whole[:-9] + b"x" + whole[-8:]):
        run.journal.write_bytes(cut)
        assert not was_applied(run, rq.Resume(run.id), start)


def test_missing_run_has_an_empty_journal(tmp_path: Path) -> None:
    assert journal_size(state_folder(tmp_path).run("bcdfghjkmn")) == 0
