"""What a key makes of a submission: the same run, or a refusal that names it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provctl.app.submit import Wishes, id_of_key, submit
from provctl.errors import DuplicateKey, JournalDamaged, UsageProblem
from provctl.journal.summary import submission, summaries
from tests.support.run_folders import state_folder
from tests.support.run_folders import submit as on_disk
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

ONE = a_workflow(task("a"))
LONGEST = "\U0001f469" * 200


@pytest.mark.parametrize("key", ["k", "a\nb", "../x", " ", "é\u202e", LONGEST])
def test_the_same_again_is_the_same_run(tmp_path: Path, key: str) -> None:
    folder = state_folder(tmp_path)
    named = replace(ONE, name=LONGEST)
    first = submit(folder, named, Wishes(key=key))
    assert re.fullmatch(r"[a-z][a-z2-9]{15}", first)
    journal = folder.run(first).journal.read_bytes()
    elsewhere = replace(
        named, cwd="/elsewhere", environment={"HOME": "/root"}, source="/b.json"
    )
    assert submit(folder, elsewhere, Wishes(priority=3, key=key)) == first
    assert folder.run_ids() == [first]
    assert folder.run(first).journal.read_bytes() == journal
    assert submission(folder.run(first)).key == key
    assert [run.name for run in summaries(folder)] == [LONGEST]


def test_each_key_has_its_own_run_and_no_key_always_a_new_one(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    wishes = [Wishes(), Wishes(), Wishes(key="a"), Wishes(key="b"), Wishes(key="A")]
    assert len({submit(folder, ONE, each) for each in wishes}) == 5
    assert len({id_of_key("k", part) for part in (0, 1, "0", "of 1")}) == 4


def test_other_content_is_refused_and_the_run_is_named(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    first = submit(folder, replace(ONE, params={"n": 1}), Wishes(key="k"))
    others = [
        ONE,
        a_workflow(task("b")),
        replace(ONE, params={"n": 2}),
        replace(ONE, params={"n": True}),
        replace(ONE, params={"n": 1}, name="other"),
    ]
    for other in others:
        with pytest.raises(DuplicateKey, match=f"run {first}") as caught:
            submit(folder, other, Wishes(key="k"))
        assert f"provctl workflow status {first}" in str(caught.value.hint)
        assert caught.value.exit_code == 42
    assert folder.run_ids() == [first]


def test_a_run_of_a_batch_is_not_one_alone(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    first = submit(folder, ONE, Wishes(key="k", batch="batch-x"))
    assert submit(folder, ONE, Wishes(key="k", batch="batch-x")) == first
    for batch in (None, "batch-y"):
        with pytest.raises(DuplicateKey, match="was submitted in batch-x"):
            submit(folder, ONE, Wishes(key="k", batch=batch))


def test_an_id_that_another_key_leads_to_is_no_repetition(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    on_disk(folder, ONE, id_of_key("other"), key="k")
    with pytest.raises(DuplicateKey, match="of another key"):
        submit(folder, ONE, Wishes(key="other"))


@pytest.mark.parametrize("key", ["", "x" * 201, "\udcff"])
def test_what_is_no_key(tmp_path: Path, key: str) -> None:
    folder = state_folder(tmp_path)
    with pytest.raises(UsageProblem):
        submit(folder, ONE, Wishes(key=key))
    assert folder.run_ids() == []


def test_a_damaged_run_keeps_its_key(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = folder.run(submit(folder, ONE, Wishes(key="k")))
    run.journal.write_bytes(b"")
    with pytest.raises(JournalDamaged):
        submit(folder, ONE, Wishes(key="k"))


def test_a_key_is_free_again_when_its_run_is_gone(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = folder.run(submit(folder, ONE, Wishes(key="k")))
    run.path.rename(tmp_path / "pruned")
    assert submit(folder, a_workflow(task("b")), Wishes(key="k")) == run.id
