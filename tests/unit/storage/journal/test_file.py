"""A journal file: what is whole is read, what is torn is mended, damage is refused."""

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
    """A journal of these batches, each committed as a whole; return its lines."""
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


def test_what_is_committed_is_read(path: Path) -> None:
    write(path, [EVENTS[:1], EVENTS[1:4], EVENTS[4:]])
    assert read(path) == list(EVENTS)


def test_what_is_not_committed_is_not_there(path: Path) -> None:
    write(path, [EVENTS[:1]])
    journal = Journal(path, recover(path, "r")[1])
    journal.add(EVENTS[1])
    journal.close()
    assert read(path) == [EVENTS[0]]


def test_each_line_says_what_was_on_disk_before(path: Path) -> None:
    lines = write(path, [EVENTS[:1], EVENTS[1:4], EVENTS[4:]])
    assert [decode(raw[:-1], "r").durable for raw in lines] == [0, 1, 1, 1, 4, 4, 4]


def test_a_journal_is_for_its_owner_alone(path: Path) -> None:
    one_by_one(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reader_goes_on_where_it_was(path: Path) -> None:
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


def test_a_line_in_the_making_is_left_for_later(path: Path) -> None:
    lines = one_by_one(path)
    reader = JournalReader(path, "r")
    path.write_bytes(b"".join(lines[:2]) + lines[2][:30])
    assert reader.read() == list(EVENTS[:2])
    assert reader.torn == lines[2][:30]
    path.write_bytes(b"".join(lines))
    assert reader.read() == list(EVENTS[2:])
    assert reader.torn == b""


def test_the_next_owner_goes_on_in_the_same_chain(path: Path) -> None:
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


def test_a_cut_journal_is_mended_and_goes_on(path: Path) -> None:
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


def test_where_the_damage_is_is_said(path: Path) -> None:
    lines = one_by_one(path)
    start = len(lines[0] + lines[1])
    lines[2] = lines[2].replace(b'"a"', b'"b"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalDamaged) as caught:
        recover(path, "r")
    at = f"{path}: damaged at offset {start}, record 3: checksum does not match"
    assert caught.value.message == at
    assert path.read_bytes() == b"".join(lines)


def test_the_first_bad_line_alone_would_not_show_it(path: Path) -> None:
    """The negative control: a reader that takes what is bad as torn."""
    lines = one_by_one(path)
    lines[3] = lines[3].replace(b"succeeded", b"succeedes")
    path.write_bytes(b"".join(lines))
    reader = JournalReader(path, "r")
    with pytest.raises(JournalDamaged):
        reader.read()
    # Three of seven acknowledged facts is what it would have gone on with.
    assert reader.position.seq == 3


def test_a_journal_that_is_gone_is_damage(path: Path) -> None:
    with pytest.raises(JournalDamaged, match="No such file"):
        recover(path, "r")


# -- a disk that fails ---------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 60, 200])
def test_a_short_write_leaves_no_half_line(path: Path, room: int) -> None:
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


def test_after_a_failed_write_nothing_more_is_written(path: Path) -> None:
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


def test_a_disk_that_takes_nothing_is_said(path: Path) -> None:
    journal = Journal(path, JournalOffset())
    journal.add(EVENTS[0])
    with disk_full_beyond(0), pytest.raises(StateDirError, match="File too large"):
        journal.commit()
    journal.close()


def test_a_journal_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="it is not a directory"):
        Journal(Path(__file__) / "journal.jsonl", JournalOffset())
    with pytest.raises(StateDirError, match="it is not a regular file"):
        Journal(tmp_path, JournalOffset())
    with pytest.raises(StateDirError, match=r"it is not a regular file|others own it"):
        Journal(Path("/dev/full"), JournalOffset())


def test_a_torn_tail_that_cannot_be_copied_aside_stays(path: Path) -> None:
    whole = b"".join(one_by_one(path)) + b"x" * 100
    path.write_bytes(whole)
    with disk_full_beyond(50), pytest.raises(StateDirError):
        recover(path, "r")
    assert path.read_bytes() == whole


def test_nothing_added_is_nothing_written(path: Path) -> None:
    write(path, [EVENTS[:1]])
    journal = Journal(path, recover(path, "r")[1])
    before = path.stat().st_mtime_ns
    journal.commit()
    journal.close()
    assert path.stat().st_mtime_ns == before
