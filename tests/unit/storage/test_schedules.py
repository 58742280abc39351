"""Schedule files are complete or missing, private, and damage is reported."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provctl.core.model.schedule import ScheduleState, initial_state
from provctl.errors import (
    JournalDamaged,
    JournalTooNew,
    NotFound,
    RequestRejected,
    StateDirError,
)
from provctl.storage.journal.codec import seal
from provctl.storage.schedules import Schedules
from tests.support.run_folders import disk_full_beyond, state_folder
from tests.support.timetables import NOON, a_schedule

if TYPE_CHECKING:
    from pathlib import Path

ONE = a_schedule(params={"zone": "ä b"}, environment={"PATH": "/bin"}, reason="é")
PAST = ScheduleState(
    "m", NOON, NOON + 3600, (NOON + 3600,), "bcd", NOON, 1, 2, "why", NOON
)


@pytest.fixture
def schedules(tmp_path: Path) -> Schedules:
    return Schedules(state_folder(tmp_path))


def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "schedules"


def test_written_schedule_is_read_back(schedules: Schedules) -> None:
    assert schedules.names() == []
    schedules.add(ONE)
    assert schedules.names() == ["s"]
    assert schedules.read("s") == ONE
    assert schedules.past(ONE) == initial_state(ONE)
    schedules.note("s", PAST)
    assert schedules.past(ONE) == PAST


def test_schedule_files_are_private(schedules: Schedules, tmp_path: Path) -> None:
    schedules.add(ONE)
    schedules.note("s", PAST)
    for path in [place(tmp_path), *place(tmp_path).iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    names = sorted(path.name for path in place(tmp_path).iterdir())
    assert names == [".lock", "s.json", "s.past"]


def test_name_can_be_used_once(schedules: Schedules) -> None:
    schedules.add(ONE)
    with pytest.raises(RequestRejected, match="schedule s already exists"):
        schedules.add(replace(ONE, cron="1 * * * *"))
    assert schedules.read("s") == ONE


def test_change_applies_to_an_existing_schedule(schedules: Schedules) -> None:
    schedules.add(ONE)
    schedules.change("s", lambda it: replace(it, paused_at=NOON))
    assert schedules.read("s") == replace(ONE, paused_at=NOON)
    with pytest.raises(NotFound, match="schedule t not found"):
        schedules.change("t", lambda it: it)


def test_later_schedule_of_the_same_name_has_no_history(schedules: Schedules) -> None:
    schedules.add(ONE)
    schedules.note("s", PAST)
    schedules.remove("s")
    assert schedules.names() == []
    schedules.note("s", PAST)  # a scheduler that had not heard of it
    other = replace(ONE, made="n")
    schedules.add(other)
    assert schedules.past(other) == initial_state(other)


@pytest.mark.parametrize("name", ["t", "../runs/x", "", "-x", ".lock", "a/b"])
def test_missing_schedule_is_not_found(schedules: Schedules, name: str) -> None:
    schedules.add(ONE)
    for verb in (schedules.read, schedules.remove):
        with pytest.raises(NotFound, match="schedule"):
            verb(name)


@pytest.mark.parametrize("suffix", ["json", "past"])
@pytest.mark.parametrize("byte", [0, 20, -20, -1])
def test_changed_byte_is_damage_of_this_schedule(
    schedules: Schedules, tmp_path: Path, suffix: str, byte: int
) -> None:
    schedules.add(ONE)
    schedules.add(replace(ONE, name="other"))
    schedules.note("s", PAST)
    path = place(tmp_path) / f"s.{suffix}"
    raw = bytearray(path.read_bytes()[:-1])
    raw[byte] ^= 1
    path.write_bytes(bytes(raw) + b"\n")
    with pytest.raises(JournalDamaged) as caught:
        schedules.past(schedules.read("s"))
    assert f"s.{suffix}: damaged" in caught.value.message
    assert "provctl schedule rm s" in str(caught.value.hint)
    assert schedules.past(schedules.read("other")) == initial_state(ONE)
    schedules.remove("s")
    assert schedules.names() == ["other"]


def test_empty_schedule_is_damaged_and_a_newer_one_is_not(
    schedules: Schedules, tmp_path: Path
) -> None:
    schedules.add(ONE)
    path = place(tmp_path) / "s.json"
    path.write_bytes(b"")
    with pytest.raises(JournalDamaged):
        schedules.read("s")
    path.write_bytes(seal('{"v":99}')[0])
    with pytest.raises(JournalTooNew):
        schedules.read("s")
    path.write_bytes(seal('{"v":1}')[0])
    with pytest.raises(JournalDamaged, match="damaged: field '"):
        schedules.read("s")


def test_schedule_of_another_version_is_read(
    schedules: Schedules, tmp_path: Path
) -> None:
    schedules.add(ONE)
    path = place(tmp_path) / "s.json"
    record = json.loads(path.read_bytes())
    del record["crc"], record["reason"], record["paused_at"]
    record["later"] = 1
    path.write_bytes(seal(json.dumps(record))[0])
    assert schedules.read("s") == replace(ONE, reason="")


def test_full_disk_adds_no_schedule(schedules: Schedules) -> None:
    schedules.add(ONE)
    with disk_full_beyond(20), pytest.raises(StateDirError):
        schedules.add(replace(ONE, name="t"))
    with disk_full_beyond(20), pytest.raises(StateDirError):
        schedules.note("s", PAST)
    assert schedules.names() == ["s"]
    assert schedules.past(ONE) == initial_state(ONE)
