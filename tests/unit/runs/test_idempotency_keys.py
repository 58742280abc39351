"""A submission with a used key returns the same run, or a refusal that names it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provctl.errors import DuplicateKey, JournalDamaged, UsageError
from provctl.runs.submit import SubmitOptions, run_id_for_key, submit
from provctl.storage.run_summary import read_submission, summaries
from tests.support.run_folders import state_folder
from tests.support.run_folders import submit as on_disk
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

ONE = a_workflow(task("a"))
LONGEST = "\U0001f469" * 200


@pytest.mark.parametrize("key", ["k", "a\nb", "../x", " ", "é\u202e", LONGEST])
def test_same_submission_returns_the_same_run(tmp_path: Path, key: str) -> None:
    folder = state_folder(tmp_path)
    named = replace(ONE, name=LONGEST)
    first = submit(folder, named, SubmitOptions(key=key))
    assert re.fullmatch(r"[a-z][a-z2-9]{15}", first)
    journal = folder.run(first).journal.read_bytes()
    elsewhere = replace(
        named, cwd="/elsewhere", environment={"HOME": "/root"}, source="/b.json"
    )
    assert submit(folder, elsewhere, SubmitOptions(priority=3, key=key)) == first
    assert folder.run_ids() == [first]
    assert folder.run(first).journal.read_bytes() == journal
    assert read_submission(folder.run(first)).key == key
    assert [run.name for run in summaries(folder)] == [LONGEST]


def test_each_key_has_its_own_run_and_no_key_a_new_one(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    wishes = [
        SubmitOptions(),
        SubmitOptions(),
        SubmitOptions(key="a"),
        SubmitOptions(key="b"),
        SubmitOptions(key="A"),
    ]
    assert len({submit(folder, ONE, each) for each in wishes}) == 5
    assert len({run_id_for_key("k", part) for part in (0, 1, "0", "of 1")}) == 4


def test_other_workflow_is_refused_and_the_run_is_named(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    first = submit(folder, replace(ONE, params={"n": 1}), SubmitOptions(key="k"))
    others = [
        ONE,
        a_workflow(task("b")),
        replace(ONE, params={"n": 2}),
        replace(ONE, params={"n": True}),
        replace(ONE, params={"n": 1}, name="other"),
    ]
    for other in others:
        with pytest.raises(DuplicateKey, match=f"run {first}") as caught:
            submit(folder, other, SubmitOptions(key="k"))
        assert f"provctl status {first}" in str(caught.value.hint)
        assert caught.value.exit_code == 42
    assert folder.run_ids() == [first]


def test_key_of_a_batch_differs_from_the_key_of_a_run(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    first = submit(folder, ONE, SubmitOptions(key="k", batch="batch-x"))
    assert submit(folder, ONE, SubmitOptions(key="k", batch="batch-x")) == first
    for batch in (None, "batch-y"):
        with pytest.raises(DuplicateKey, match="was submitted in batch-x"):
            submit(folder, ONE, SubmitOptions(key="k", batch=batch))


def test_run_id_that_belongs_to_another_key_is_refused(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    on_disk(folder, ONE, run_id_for_key("other"), key="k")
    with pytest.raises(DuplicateKey, match="but another key"):
        submit(folder, ONE, SubmitOptions(key="other"))


@pytest.mark.parametrize("key", ["", "x" * 201, "\udcff"])
def test_invalid_key_is_refused(tmp_path: Path, key: str) -> None:
    folder = state_folder(tmp_path)
    with pytest.raises(UsageError):
        submit(folder, ONE, SubmitOptions(key=key))
    assert folder.run_ids() == []


def test_damaged_run_keeps_its_key(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = folder.run(submit(folder, ONE, SubmitOptions(key="k")))
    run.journal.write_bytes(b"")
    with pytest.raises(JournalDamaged):
        submit(folder, ONE, SubmitOptions(key="k"))


def test_key_is_free_after_its_run_was_removed(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = folder.run(submit(folder, ONE, SubmitOptions(key="k")))
    run.path.rename(tmp_path / "pruned")
    assert submit(folder, a_workflow(task("b")), SubmitOptions(key="k")) == run.id
