"""The exit record of an attempt, and the evidence that is left if it is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from provctl.core.engine.requests import ExitedReport
from provctl.errors import JournalDamaged
from provctl.executors.local import attempt_file
from provctl.executors.protocol import AttemptRef

if TYPE_CHECKING:
    from pathlib import Path

_RECORD = {
    "v": 1,
    "cause": "exit",
    "problem": "",
    "survivors": 0,
    "status": 0,
    "exit_code": 0,
    "started_at": 1.0,
    "finished_at": 2.0,
}


@pytest.fixture
def place(tmp_path: Path) -> AttemptRef:
    return AttemptRef("r", "a", 1, tmp_path, 0)


def _write(place: AttemptRef, **fields: Any) -> None:
    body = json.dumps({**_RECORD, **fields}, separators=(",", ":"))[:-1].encode()
    sealed = body + b',"crc":"%08x"}\n' % crc32(body)
    place.file("go").write_bytes(sealed)


def test_record_of_this_attempt_is_read(place: AttemptRef) -> None:
    _write(place, id="r/0.1")
    ended = attempt_file.read_exit_record(place)
    assert isinstance(ended, ExitedReport)
    assert ended.result.exit_code == 0


def test_record_of_an_old_version_without_an_id_is_read(
    place: AttemptRef,
) -> None:
    _write(place)
    assert attempt_file.read_exit_record(place) is not None


@pytest.mark.parametrize("whose", ["other/0.1", "r/1.1", "r/0.2", "r/0.1u", "", None])
def test_record_of_another_attempt_is_damage(place: AttemptRef, whose: Any) -> None:
    _write(place, id=whose)
    with pytest.raises(JournalDamaged, match="this is the exit record of"):
        attempt_file.read_exit_record(place)


def test_fence_link_made_by_an_owner_prevents_a_start(place: AttemptRef) -> None:
    assert attempt_file.take_fence(place)
    assert attempt_file.take_fence(place), "it is so for ever"
    place.file("go").unlink()
    place.file("go").symlink_to("elsewhere")
    assert not attempt_file.take_fence(place)
    assert attempt_file.read_exit_record(place) is None


@pytest.mark.parametrize("suffix", ["log", "in", "out"])
def test_files_made_after_the_fence_are_evidence(
    place: AttemptRef, suffix: str
) -> None:
    place.file("new").touch()  # it is made before
    assert not attempt_file.has_evidence(place)
    place.file(suffix).touch()
    assert attempt_file.has_evidence(place)
