"""Grants: one for an attempt, whole or damaged, and the numbers of owners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provctl.core.model.workflow import Placement
from provctl.errors import JournalDamaged
from provctl.executors.protocol import AttemptRef
from provctl.executors.remote.grants import (
    Grant,
    GrantExists,
    is_granted,
    is_word,
    next_epoch,
    read_grant,
    write_grant,
)

if TYPE_CHECKING:
    from pathlib import Path

GRANT = Grant("web1", "boot-1", "ab12", 7, False, Placement(cpus=1.5, memory=9, gpus=1))


@pytest.fixture
def place(tmp_path: Path) -> AttemptRef:
    tmp_path.chmod(0o700)
    return AttemptRef("r1", "a", 2, tmp_path, 3, "undo")


def test_a_grant_is_read_as_it_was_written(place: AttemptRef) -> None:
    assert read_grant(place) is None
    assert not is_granted(place)
    write_grant(place, GRANT)
    assert read_grant(place) == GRANT
    assert (place.folder / "3.2u.grant").is_symlink()


def test_there_is_one_grant_for_an_attempt(place: AttemptRef) -> None:
    write_grant(place, GRANT)
    with pytest.raises(GrantExists):
        write_grant(place, Grant("web2", "b", "r", 8))
    assert read_grant(place) == GRANT


def test_every_changed_letter_of_a_grant_is_noticed(place: AttemptRef) -> None:
    path, text = place.file("grant"), GRANT.text
    for at in range(len(text)):
        other = "x" if text[at] != "x" else "y"
        path.symlink_to(text[:at] + other + text[at + 1 :])
        with pytest.raises(JournalDamaged, match="no grant of this version"):
            read_grant(place)
        path.unlink()


def test_a_file_is_no_grant(place: AttemptRef) -> None:
    place.file("grant").write_text(GRANT.text)
    assert is_granted(place)
    with pytest.raises(JournalDamaged):
        read_grant(place)


@pytest.mark.parametrize("text", ["", "a:b", "a/b", "a b", None, 7, "x" * 101])
def test_what_would_be_two_words_is_none(text: object) -> None:
    assert not is_word(text)
    assert is_word("36c16e91-0f47")


def test_each_owner_has_a_higher_number(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert [next_epoch(tmp_path) for _ in range(3)] == [1, 2, 3]
