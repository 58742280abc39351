"""The summary of a run is correct without a replay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, List

import pytest

from provctl.core.engine import events as ev
from provctl.core.engine.state import State
from provctl.core.model.labels import MOST, check_labels
from provctl.errors import JournalDamaged, JournalTooNew
from provctl.storage.journal.codec import seal
from provctl.storage.lock import Lock
from provctl.storage.run_summary import (
    RunSummary,
    read_submission,
    summaries,
    summarise,
)
from tests.support.engine_driver import Opened, replayed
from tests.support.histories import HISTORIES
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.history import History

ONE = a_workflow(task("a"))
STARTED = ev.AttemptStarted("r", 1001.0, "a", 1)
ENDED = ev.AttemptFinished("r", 1002.0, "a", 1, "succeeded")


def test_queued_run_has_a_summary(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE, priority=2, batch="b")
    assert summarise(run) == RunSummary(
        "r", "w", "queued", None, 1000.0, tasks=1, priority=2, batch="b"
    )


def test_longest_labels_are_read(tmp_path: Path) -> None:
    labels = {f"key-{n}": "\U0001f469" * 200 for n in range(MOST)}
    check_labels(labels)
    run = submit(state_folder(tmp_path), ONE, labels=labels, name="\U0001f469" * 200)
    append(run, [STARTED])
    assert summarise(run).labels == read_submission(run).labels == labels
    assert summarise(run).status == "running"


def test_finished_run_has_a_summary(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    append(run, [STARTED, ENDED, ev.RunFinished("r", 1002.0, "succeeded")])
    assert summarise(run) == RunSummary(
        "r", "w", "finished", "succeeded", 1000.0, 1002.0, tasks=1
    )


def test_owned_run_is_marked(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    lock = Lock.acquire(run.lock)
    assert lock is not None
    assert summarise(run).owned
    lock.release()
    assert not summarise(run).owned


@pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))
def test_status_word_equals_that_of_the_replayed_state(
    tmp_path: Path, history: History
) -> None:
    dialogue = history.begin()
    for news, _ in history.lines:
        history.tell(dialogue, news)
    opened, *events = dialogue.history
    assert isinstance(opened, Opened)
    run = submit(state_folder(tmp_path), history.workflow, **history.submit)
    like = State(slots=1, capacity={})
    for count, event in enumerate(events, 1):
        append(run, [event])  # type: ignore[list-item]
        state = replayed([opened, *events[:count]], like=like).runs["r"]
        account = summarise(run)
        assert (account.status, account.outcome) == (state.status, state.outcome)


def test_output_of_a_task_is_not_taken_for_a_record(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    alike = {"v": 1, "seq": 1, "dur": 1, "type": "cancel_requested"}
    append(run, [STARTED, replace(ENDED, output=[alike, {"type": "task_held"}])])
    assert summarise(run).status == "running"


def test_last_record_longer_than_the_read_size_is_found(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    append(run, [STARTED, replace(ENDED, output="x" * 9000)])
    assert summarise(run).status == "running"
    append(run, [ev.RunFinished("r", 1002.0, "succeeded")])
    assert summarise(run).outcome == "succeeded"


def test_torn_record_is_ignored(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), ONE)
    append(run, [STARTED])
    with run.journal.open("ab") as file:
        file.write(b'{"v":1,"seq":3,"dur":2,"type":"run_fin')
    assert summarise(run).status == "running"


def damaged(run: Path, how: str) -> None:
    journal = run / "journal.jsonl"
    whole = journal.read_bytes()
    content = {
        "empty": b"",
        "flipped": whole.replace(b'"name"', b'"mame"', 1),
        "foreign": seal('{"v":1,"seq":1,"dur":0,"type":"retry_due"}')[0],
        "garbage": b"\0" * 5000,
    }
    if how == "gone":
        journal.unlink()
    else:
        journal.write_bytes(content[how])


@pytest.mark.parametrize("how", ["empty", "flipped", "foreign", "garbage", "gone"])
def test_damaged_run_is_listed_and_affects_no_other(tmp_path: Path, how: str) -> None:
    folder = state_folder(tmp_path)
    run = submit(folder, ONE, run="bad")
    submit(folder, ONE, run="good")
    damaged(run.path, how)
    with pytest.raises(JournalDamaged, match=r"journal\.jsonl"):
        summarise(run)
    good, bad = summaries(folder)
    assert (good.id, good.status) == ("good", "queued")
    assert (bad.id, bad.name, bad.status, bad.outcome) == ("bad", "?", "damaged", None)
    assert "journal.jsonl" in bad.damage
    assert bad.created_at > 1000


def test_held_run_with_a_changed_workflow_is_damaged(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = submit(folder, ONE)
    append(run, [STARTED, ev.TaskHeld("r", 1002.0, "a", 1, "lost", "gone")])
    assert summarise(run).status == "held"
    run.workflow.write_bytes(b"{}")
    (account,) = summaries(folder)
    assert (account.status, account.owned) == ("damaged", False)


def test_run_of_a_newer_version_is_listed(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = submit(folder, ONE)
    run.journal.write_bytes(seal('{"v":2,"kind":"submitted"}')[0])
    with pytest.raises(JournalTooNew, match="format 2"):
        summarise(run)
    (account,) = summaries(folder)
    assert account.status == "damaged"
    assert "format 2" in account.damage


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    times = {"c": 1.0, "a": 2.0, "b": 2.0}
    for run, at in times.items():
        submit(folder, ONE, run=run, at=at)
    assert [account.id for account in summaries(folder)] == ["c", "a", "b"]


def test_hundred_runs_are_read_only_at_their_ends(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    ids: List[str] = [f"run{n:03}" for n in range(100)]
    for run_id in ids:
        run = submit(folder, ONE, run=run_id)
        finished = ev.RunFinished(run_id, 1002.0, "succeeded")
        append(
            run, [replace(STARTED, run=run_id), replace(ENDED, run=run_id), finished]
        )
    accounts = summaries(folder)
    assert [account.id for account in accounts] == ids
    assert {account.outcome for account in accounts} == {"succeeded"}


def test_missing_state_directory_has_no_summaries(tmp_path: Path) -> None:
    from provctl.storage.layout import StateDir

    assert summaries(StateDir(tmp_path / "none")) == []
