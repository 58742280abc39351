"""A journal file: what is whole is read, what is torn is mended, damage is refused."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple

import pytest

from provctl.core import events as ev
from provctl.errors import JournalDamaged, JournalTooNew, StateUnusable
from provctl.journal.codec import LINE_MAX, decode
from provctl.journal.log import Journal, JournalReader, Position, recover
from provctl.journal.seal import seal
from tests.support.run_folders import disk_full_beyond

EVENTS: Tuple[ev.Event, ...] = (
    ev.RunSubmitted("r", 1.0, "w", 2, "d"),
    ev.OwnerTook("r", 2.0, "scheduler", 1, "b"),
    ev.AttemptStarted("r", 3.0, "a", 1),
    ev.AttemptFinished("r", 4.0, "a", 1, "succeeded", 0),
    ev.AttemptStarted("r", 4.0, "b", 1),
    ev.AttemptFinished("r", 5.0, "b", 1, "failed", 3),
    ev.RunFinished("r", 5.0, "failed"),
)


def write(path: Path, batches: Sequence[Sequence[ev.Event]]) -> List[bytes]:
    """A journal of these batches, each committed as a whole; return its lines."""
    journal = Journal(path, Position())
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


def verdict(path: Path) -> Tuple[Optional[int], int]:
    """Which record is called damaged (None: none), else how many are taken as whole.

    What is taken must be the first events, unchanged.
    """
    try:
        events = read(path)
    except JournalDamaged as damage:
        return int(damage.message.split("record ")[1].split(":")[0]), 0
    assert events == list(EVENTS[: len(events)])
    return None, len(events)


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
    journal = Journal(path, Position())
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


def test_a_journal_cut_anywhere_has_the_records_before_the_cut(path: Path) -> None:
    lines = one_by_one(path)
    whole = b"".join(lines)
    ends = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]
    for cut in range(ends[1], len(whole)):
        path.write_bytes(whole[:cut])
        before = max(n for n, end in enumerate(ends) if end <= cut)
        assert verdict(path) == (None, before)


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


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_without_its_first_record_a_journal_is_damaged(path: Path, cut: int) -> None:
    first = write(path, [EVENTS[:1]])[0][:cut]
    path.write_bytes(first)
    with pytest.raises(JournalDamaged, match="no whole record in it"):
        recover(path, "r")
    assert path.read_bytes() == first


@pytest.mark.parametrize("count", [1, 100, 8192])
def test_zeros_at_the_end_are_torn(path: Path, count: int) -> None:
    whole = b"".join(one_by_one(path))
    for tail in (b"\0" * count, b"\0" * count + b"\n"):
        path.write_bytes(whole + tail)
        assert recover(path, "r")[0] == list(EVENTS)
        assert path.read_bytes() == whole


def test_an_unsynced_batch_may_come_to_the_disk_in_any_order(path: Path) -> None:
    lines = write(path, [EVENTS[:2], EVENTS[2:]])
    for lost in range(2, len(lines)):
        pages = [b"\0" * len(raw) if n == lost else raw for n, raw in enumerate(lines)]
        path.write_bytes(b"".join(pages))
        assert recover(path, "r")[0] == list(EVENTS[:lost])
        assert path.read_bytes() == b"".join(lines[:lost])


# -- damaged -------------------------------------------------------------------------


def flips(lines: Sequence[bytes]) -> Iterator[Tuple[int, bytes]]:
    """Each journal with one bit that is wrong, and the record it belongs to."""
    whole = b"".join(lines)
    for number, raw in enumerate(lines, 1):
        start = sum(map(len, lines[: number - 1]))
        for offset in range(start, start + len(raw)):
            for bit in range(8):
                damaged = bytearray(whole)
                damaged[offset] ^= 1 << bit
                yield number, bytes(damaged)


def test_any_flipped_bit_is_found_at_its_record(path: Path) -> None:
    lines = write(path, [[event] for event in EVENTS[:4]])
    last = len(lines)
    for number, damaged in flips(lines):
        path.write_bytes(damaged)
        found = verdict(path)
        if number < last - 1:
            assert found == (number, 0)
        elif number == last:
            # Nothing after it proves that it was whole: it counts as torn.
            assert found == (None, last - 1)
        else:
            # So it is, too, when its newline is gone: then it is one with the last.
            assert found in ((number, 0), (None, last - 2))
    assert number == last


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


def edited(lines: Sequence[bytes]) -> Iterator[Tuple[str, int, List[bytes]]]:
    """Every journal with a line deleted, doubled, or swapped with the next."""
    for n, raw in enumerate(lines):
        yield "deleted", n, [*lines[:n], *lines[n + 1 :]]
        yield "doubled", n, [*lines[:n], raw, raw, *lines[n + 1 :]]
        if n + 1 < len(lines):
            yield "swapped", n, [*lines[:n], lines[n + 1], raw, *lines[n + 2 :]]


def test_no_line_is_missing_doubled_or_out_of_place(path: Path) -> None:
    lines = one_by_one(path)
    last = len(lines) - 1
    for what, n, damaged in edited(lines):
        path.write_bytes(b"".join(damaged))
        bad = n + 1 + (what == "doubled")
        if (what, n) == ("doubled", last - 1) or n == last:
            # Nothing behind it proves that the last was on disk: it counts as torn.
            assert verdict(path) == (None, bad - 1)
        else:
            assert verdict(path) == (bad, 0)


def test_seals_alone_would_not_show_it(path: Path) -> None:
    """The negative control: a reader that looks at no more than each line's seal."""
    lines = one_by_one(path)
    for _, _, damaged in edited(lines):
        assert all(decode(raw[:-1], "r") for raw in damaged)


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


def test_zeros_in_the_middle_are_damage(path: Path) -> None:
    lines = one_by_one(path)
    path.write_bytes(lines[0] + b"\0" * 8561 + b"".join(lines[1:]))
    assert verdict(path) == (2, 0)


def test_a_line_of_another_journal_is_never_applied(path: Path, tmp_path: Path) -> None:
    ours = one_by_one(path)
    other = write(tmp_path / "other", [[ev.RunSubmitted("r", 9.0, "x", 1, "e")]])
    for n in range(1, 8):
        for stranger in (other[0], b"{}\n", b"garbage\n", b"\n"):
            path.write_bytes(b"".join([*ours[:n], stranger, *ours[n:]]))
            assert verdict(path) == ((None, n) if n >= 6 else (n + 1, 0))


def test_a_line_of_another_journal_does_not_stand_in_for_ours(
    path: Path, tmp_path: Path
) -> None:
    ours = one_by_one(path)
    changed = [replace(event, at=99.0) for event in EVENTS]
    other = write(tmp_path / "other", [[event] for event in changed])
    for n in range(1, len(ours) - 1):
        path.write_bytes(b"".join([*ours[:n], other[n], *ours[n + 1 :]]))
        # It has the right number and a seal of its own, but another one before it.
        assert verdict(path) == (n + 1, 0)


def test_a_huge_line_is_refused(path: Path) -> None:
    lines = one_by_one(path)
    path.write_bytes(b"".join([*lines[:3], b"x" * (LINE_MAX + 1) + b"\n", *lines[3:]]))
    assert verdict(path) == (4, 0)


def test_a_newer_version_is_left_untouched(path: Path) -> None:
    lines = one_by_one(path)
    newer = lines[3].decode("ascii").replace('"v":1', '"v":2')
    content = b"".join([*lines[:3], seal(newer[:-19] + "}")[0], b"torn"])
    path.write_bytes(content)
    before = sorted(path.parent.iterdir())
    with pytest.raises(JournalTooNew, match="record 4: format 2") as caught:
        recover(path, "r")
    assert caught.value.hint == "use the version that wrote it, or a later one"
    assert path.read_bytes() == content
    assert sorted(path.parent.iterdir()) == before


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
    refused = pytest.raises(StateUnusable, match="cannot write the journal")
    with disk_full_beyond(len(written) + room), refused as caught:
        journal.commit()
    assert caught.value.hint == "running tasks go on; free space or mend the disk"
    assert path.read_bytes() == written
    journal.close()
    assert recover(path, "r")[0] == list(EVENTS[:2])


def test_after_a_failed_write_nothing_more_is_written(path: Path) -> None:
    written = b"".join(write(path, [EVENTS[:2]]))
    journal = Journal(path, recover(path, "r")[1])
    journal.add(EVENTS[2])
    with disk_full_beyond(len(written)), pytest.raises(StateUnusable):
        journal.commit()
    journal.add(EVENTS[3])
    with pytest.raises(StateUnusable, match="not written since an earlier error"):
        journal.commit()
    with pytest.raises(StateUnusable):
        journal.commit()
    journal.close()
    assert path.read_bytes() == written


def test_a_full_device_is_said() -> None:
    journal = Journal(Path("/dev/full"), Position())
    journal.add(EVENTS[0])
    with pytest.raises(StateUnusable, match="No space left on device"):
        journal.commit()
    journal.close()


def test_a_journal_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="Not a directory"):
        Journal(Path(__file__) / "journal.jsonl", Position())
    with pytest.raises(StateUnusable, match="Is a directory"):
        Journal(tmp_path, Position())


def test_a_torn_tail_that_cannot_be_copied_aside_stays(path: Path) -> None:
    whole = b"".join(one_by_one(path)) + b"x" * 100
    path.write_bytes(whole)
    with disk_full_beyond(50), pytest.raises(StateUnusable):
        recover(path, "r")
    assert path.read_bytes() == whole


def test_nothing_added_is_nothing_written(path: Path) -> None:
    write(path, [EVENTS[:1]])
    journal = Journal(path, recover(path, "r")[1])
    before = path.stat().st_mtime_ns
    journal.commit()
    journal.close()
    assert path.stat().st_mtime_ns == before
