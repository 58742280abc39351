"""A journal file: complete records are read, a torn one is cut, damage is refused."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import List, Sequence, Tuple

import pytest

from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import AttemptResult
from provctl.errors import JournalDamaged, StateDirError
from provctl.storage.journal.codec import decode
from provctl.storage.journal.file import Journal, JournalOffset, JournalReader, recover
from tests.support.run_folders import disk_full_beyond

EVENTS: Tuple[ev.Event, ...] = (
    ev.RunSubmitted("r", 1.0, "w", 2, "d"),
    ev.OwnershipTaken("r", 2.0, "scheduler", 1, "b"),
    ev.AttemptStarted("r", 3.0, "a", 1),
    ev.AttemptFinished("r", 4.0, "a", 1, "succeeded", result=AttemptResult(0)),
    ev.AttemptStarted("r", 4.0, "b", 1),
    ev.AttemptFinished("r", 5.0, "b", 1, "failed", result=AttemptResult(3)),
    ev.RunFinished("r", 5.0, "failed"),
)


def write(path: Path, batches: Sequence[Sequence[ev.Event]]) -> List[bytes]:
    """Write a journal of these batches, one commit each; return its lines."""
    journal = Journal(path, JournalOffset())
    for batch in batches:
        for event in batch:
            journal.add(event)
        journal.commit()
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def one_by_one(path: Path) -> List[bytes]:
    return write(path, [[event] for event in EVENTS])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def read(path: Path) -> List[ev.Event]:
    return JournalReader(path, "r").read()


# -- whole ---------------------------------------------------------------------------


def test_committed_events_are_read(path: Path) -> None:
    write(path, [EVENTS[:1], EVENTS[1:4], EVENTS[4:]])
    assert read(path) == list(EVENTS)


def test_uncommitted_event_is_not_on_disk(path: Path) -> None:
    write(path, [EVENTS[:1]])
    journal = Journal(path, recover(path, "r")[1])
    journal.add(EVENTS[1])
    journal.close()
    assert read(path) == [EVENTS[0]]


def test_each_line_says_what_was_synced_before(path: Path) -> None:
    lines = write(path, [EVENTS[:1], EVENTS[1:4], EVENTS[4:]])
    assert [decode(raw[:-1], "r").durable for raw in lines] == [0, 1, 1, 1, 4, 4, 4]


def test_journal_is_private(path: Path) -> None:
    one_by_one(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reader_continues_where_it_was(path: Path) -> None:
    journal = Journal(path, JournalOffset())
    reader = JournalReader(path, "r")
    assert reader.read() == []
    for event in EVENTS:
        journal.add(event)
        journal.commit()
        assert reader.read() == [event]
        assert reader.read() == []
    journal.close()
    assert reader.position.seq == len(EVENTS)


def test_incomplete_line_is_left_for_later(path: Path) -> None:
    lines = one_by_one(path)
    reader = JournalReader(path, "r")
    path.write_bytes(b"".join(lines[:2]) + lines[2][:30])
    assert reader.read() == list(EVENTS[:2])
    assert reader.torn == lines[2][:30]
    path.write_bytes(b"".join(lines))
    assert reader.read() == list(EVENTS[2:])
    assert reader.torn == b""


def test_next_owner_continues_the_same_chain(path: Path) -> None:
    write(path, [EVENTS[:3]])
    events, position = recover(path, "r")
    assert events == list(EVENTS[:3])
    journal = Journal(path, position)
    for event in EVENTS[3:]:
        journal.add(event)
    journal.commit()
    journal.close()
    assert read(path) == list(EVENTS)
    last = path.read_bytes().splitlines()[-1]
    assert decode(last, "r").durable == 3


# -- cut -----------------------------------------------------------------------------


def test_torn_journal_is_cut_and_continued(path: Path) -> None:
    lines = one_by_one(path)
    whole = b"".join(lines)
    start = len(whole) - len(lines[-1])
    for cut in range(start + 1, len(whole)):
        path.write_bytes(whole[:cut])
        events, position = recover(path, "r")
        assert events == list(EVENTS[:-1])
        assert path.read_bytes() == whole[:start]
        aside = path.with_name(f"journal.jsonl.torn-{start}")
        assert aside.read_bytes() == whole[start:cut]
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        journal = Journal(path, position)
        journal.add(EVENTS[-1])
        journal.commit()
        journal.close()
        assert path.read_bytes() == whole


# -- damaged -------------------------------------------------------------------------


def test_location_of_damage_is_reported(path: Path) -> None:
    lines = one_by_one(path)
    start = len(lines[0] + lines[1])
    lines[2] = lines[2].replace(b'"a"', b'"b"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalDamaged) as caught:
        recover(path, "r")
    at = f"{path}: damaged at offset {start}, record 3: checksum does not match"
    assert caught.value.message == at
    assert path.read_bytes() == b"".join(lines)


def test_control_first_bad_line_alone_does_not_show_damage(path: Path) -> None:
    """The negative control: a reader that treats any bad line as torn."""
    lines = one_by_one(path)
    lines[3] = lines[3].replace(b"succeeded", b"succeedes")
    path.write_bytes(b"".join(lines))
    reader = JournalReader(path, "r")
    with pytest.raises(JournalDamaged):
        reader.read()
    # Three of seven acknowledged facts is what it would have gone on with.
    assert reader.position.seq == 3


def test_missing_journal_is_damage(path: Path) -> None:
    with pytest.raises(JournalDamaged, match="No such file"):
        recover(path, "r")


# -- a disk that fails ---------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 60, 200])
def test_short_write_leaves_no_partial_line(path: Path, room: int) -> None:
    written = b"".join(write(path, [EVENTS[:2]]))
    journal = Journal(path, recover(path, "r")[1])
    for event in EVENTS[2:]:
        journal.add(event)
    refused = pytest.raises(StateDirError, match="cannot write the journal")
    with disk_full_beyond(len(written) + room), refused as caught:
        journal.commit()
    assert (
        caught.value.hint
        == "running tasks continue; free disk space or repair the disk"
    )
    assert path.read_bytes() == written
    journal.close()
    assert recover(path, "r")[0] == list(EVENTS[:2])


def test_nothing_is_written_after_a_failed_write(path: Path) -> None:
    written = b"".join(write(path, [EVENTS[:2]]))
    journal = Journal(path, recover(path, "r")[1])
    journal.add(EVENTS[2])
    with disk_full_beyond(len(written)), pytest.raises(StateDirError):
        journal.commit()
    journal.add(EVENTS[3])
    with pytest.raises(StateDirError, match="not written because of an earlier error"):
        journal.commit()
    with pytest.raises(StateDirError):
        journal.commit()
    journal.close()
    assert path.read_bytes() == written


def test_full_disk_is_reported(path: Path) -> None:
    journal = Journal(path, JournalOffset())
    journal.add(EVENTS[0])
    with disk_full_beyond(0), pytest.raises(StateDirError, match="File too large"):
        journal.commit()
    journal.close()


def test_journal_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="it is not a directory"):
        Journal(Path(__file__) / "journal.jsonl", JournalOffset())
    with pytest.raises(StateDirError, match="it is not a regular file"):
        Journal(tmp_path, JournalOffset())
    with pytest.raises(StateDirError, match=r"it is not a regular file|others own it"):
        Journal(Path("/dev/full"), JournalOffset())


def test_torn_record_that_cannot_be_set_aside_stays(path: Path) -> None:
    whole = b"".join(one_by_one(path)) + b"x" * 100
    path.write_bytes(whole)
    with disk_full_beyond(50), pytest.raises(StateDirError):
        recover(path, "r")
    assert path.read_bytes() == whole


def test_commit_without_events_writes_nothing(path: Path) -> None:
    write(path, [EVENTS[:1]])
    journal = Journal(path, recover(path, "r")[1])
    before = path.stat().st_mtime_ns
    journal.commit()
    journal.close()
    assert path.stat().st_mtime_ns == before
