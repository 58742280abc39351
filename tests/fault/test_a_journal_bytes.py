"""Group A of the fault catalogue: every change of a journal's bytes is noticed.

The journal is that of a real run of forty tasks. One kind of damage cannot be
distinguished from a torn write in any format: damage to the records committed last,
with no later record that says that they were on disk. It counts as torn, and is never
applied. Case 9, a missing segment, does not exist here: a run has one journal. Cases
10 and 11 are in `test_b_checkpoints.py`.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from typing import Callable, Iterator, List, Tuple

import pytest

from provctl.errors import JournalDamaged, JournalTooNew
from provctl.storage.journal.codec import LINE_MAX, decode
from provctl.storage.journal.file import JournalReader, recover
from tests.support.installed import Provctl
from tests.support.real_journal import RealJournal, run_for_real, sealed_again

LAST = 50  # records that are cut and damaged bit by bit


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealJournal]:
    provctl = Provctl(tmp_path_factory.mktemp("real"))
    try:
        yield run_for_real(provctl)
    finally:
        provctl.end()


@pytest.fixture(autouse=True)
def as_it_was(real: RealJournal) -> Iterator[None]:
    yield
    real.folder.journal.write_bytes(real.whole)


def write(real: RealJournal, *parts: bytes) -> None:
    real.folder.journal.write_bytes(b"".join(parts))


def mended(real: RealJournal) -> int:
    """The number of records of the next owner; the file has only these."""
    events, position = recover(real.folder.journal, real.folder.id)
    assert events == [line.event for line in real.records[: len(events)]]
    assert real.folder.journal.read_bytes() == real.whole[: position.offset]
    return len(events)


def refused(real: RealJournal, record: int) -> None:
    """Check that the next owner names the record and leaves the file unchanged."""
    before = real.folder.journal.read_bytes()
    with pytest.raises(JournalDamaged, match=f"record {record}: ") as caught:
        recover(real.folder.journal, real.folder.id)
    at = real.starts[record - 1]
    assert f"{real.folder.journal}: damaged at offset {at}," in caught.value.message
    assert real.folder.journal.read_bytes() == before


def test_01_journal_cut_at_every_byte_of_the_last_fifty_records(
    real: RealJournal,
) -> None:
    first = len(real.lines) - LAST
    start, cuts = real.before(first).offset, 0
    fd = os.open(str(real.folder.journal), os.O_WRONLY)
    for cut in reversed(range(start, len(real.whole))):
        os.ftruncate(fd, cut)
        whole = sum(1 for at in real.starts if at <= cut) - 1
        # A reader that has come to the record before the cut, or to the first.
        found = real.verdict(max(first, whole - 1))
        assert found == ("ok" if cut == real.starts[whole] else "torn", whole)
        cuts += 1
    os.close(fd)
    assert cuts == sum(map(len, real.lines[first:]))


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_01_incomplete_record_is_set_aside_and_the_run_continues(
    real: RealJournal, where: float
) -> None:
    last = real.starts[-1]
    write(real, real.whole[: last + int(where * len(real.lines[-1]))])
    assert mended(real) == len(real.lines) - 1


def test_02_every_flipped_bit_in_the_last_fifty_records_is_found(
    real: RealJournal,
) -> None:
    found: Counter[str] = Counter()
    count = len(real.lines)
    fd = os.open(str(real.folder.journal), os.O_WRONLY)
    for index in range(count - LAST, count):
        line, start = real.lines[index], real.starts[index]
        for place, byte in enumerate(line):
            newline = place == len(line) - 1
            # Without its newline it is one with the line after it.
            proven = real.proven(index, by=index + 1 + newline)
            expected = ("damaged", index + 1) if proven else ("torn", index)
            for bit in range(8):
                os.pwrite(fd, bytes([byte ^ 1 << bit]), start + place)
                assert real.verdict(index) == expected, (index, place, bit)
                found[expected[0]] += 1
            os.pwrite(fd, bytes([byte]), start + place)
    os.close(fd)
    size = sum(map(len, real.lines[-LAST:]))
    assert sum(found.values()) == 8 * size
    # Only the last commit, and a newline before it, has nothing behind it.
    assert 0 < found["torn"] < 8 * size * 3 // LAST


def test_02_control_a_json_reader_would_accept_flipped_bits(real: RealJournal) -> None:
    """The negative control: many flipped bits leave a line a valid JSON record."""
    line, taken = real.lines[-2], 0
    for place in range(len(line)):
        for bit in range(8):
            flipped = bytearray(line)
            flipped[place] ^= 1 << bit
            try:
                taken += isinstance(json.loads(flipped), dict)
            except ValueError:
                continue
    assert taken > len(line)


def edited(lines: Tuple[bytes, ...]) -> Iterator[Tuple[str, int, List[bytes]]]:
    """Every journal with a line deleted, doubled, or swapped with the next."""
    for n, raw in enumerate(lines):
        yield "deleted", n, [*lines[:n], *lines[n + 1 :]]
        yield "doubled", n, [*lines[:n], raw, raw, *lines[n + 1 :]]
        if n + 1 < len(lines):
            yield "swapped", n, [*lines[:n], lines[n + 1], raw, *lines[n + 2 :]]


def test_03_deleted_doubled_or_swapped_line_is_found(real: RealJournal) -> None:
    count = len(real.lines)
    for what, n, damaged in edited(real.lines):
        write(real, *damaged)
        good = n + (what == "doubled")
        # All lines are whole by themselves, so any may tell what was on disk.
        if what == "deleted" and n == count - 1:
            expected = ("ok", n)
        elif real.proven(good, by=n):
            expected = ("damaged", good + 1)
        else:
            expected = ("torn", good)
        assert real.verdict(max(0, n - 1)) == expected, (what, n)


def test_03_control_seals_alone_do_not_show_moved_lines(real: RealJournal) -> None:
    """The negative control: a reader that checks only the seal of each line."""
    for _, n, damaged in edited(real.lines):
        for raw in damaged[max(0, n - 1) : n + 3]:
            assert decode(raw[:-1], real.folder.id).seq > 0


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_04_zeros_at_the_end_are_a_torn_record(real: RealJournal, end: bytes) -> None:
    sizes = [*range(1, 64), 511, 512, 513, 4095, 4096, 8191, 8192]
    for size in sizes:
        write(real, real.whole, b"\0" * size, end)
        assert real.verdict(len(real.lines) - 1) == ("torn", len(real.lines))
    assert mended(real) == len(real.lines)


@pytest.mark.parametrize("record", [2, 10, 30])
def test_05_zeros_in_the_middle_are_damage(real: RealJournal, record: int) -> None:
    at = real.starts[record - 1] + 20
    write(real, real.whole[:at], b"\0" * 8561, real.whole[at + 8561 :])
    assert len(real.whole) > at + 8561
    refused(real, record)


def strangers(real: RealJournal) -> Iterator[bytes]:
    """Foreign tails: noise, JSON, and sealed lines of another journal."""
    chance = random.Random(6)
    for size in (1, 20, 300, 5000):
        yield bytes(chance.randrange(256) for _ in range(size))
        yield bytes(chance.randrange(256) for _ in range(size)) + b"\n"
    yield from (b"{}\n", b"garbage\n", b"\n", b'{"v":1,"seq":83}\n')
    later = b'"seq":%d,' % (len(real.lines) + 1)
    last = real.lines[-1]
    yield sealed_again(last, b'"seq":%d,' % len(real.lines), later)
    # Of a journal that knows less to be on disk than we have.
    yield real.lines[0]
    yield b"".join(real.lines[:10])


def test_06_appended_foreign_lines_are_never_applied(real: RealJournal) -> None:
    for stranger in strangers(real):
        write(real, real.whole, stranger)
        assert real.verdict(len(real.lines) - 2) == ("torn", len(real.lines)), stranger
    assert mended(real) == len(real.lines)


def test_06_line_of_another_journal_is_not_accepted(
    real: RealJournal,
) -> None:
    for n in range(1, 60):
        ours = real.records[n].prev.encode("ascii")
        other = sealed_again(real.lines[n], ours, b"5eed5eed")
        write(real, *real.lines[:n], other, *real.lines[n + 1 :])
        # It has the right number and a seal of its own, but another one before it.
        assert real.verdict(n) == ("damaged", n + 1)
    refused(real, n + 1)


CHECKSUMS: List[Callable[[bytes], bytes]] = [
    lambda crc: crc.upper(),
    lambda crc: b"0x" + crc[2:],
    lambda crc: b"+" + crc[1:],
    lambda crc: b" " + crc[1:],
    lambda crc: crc[:1] + b"_" + crc[2:],
]


@pytest.mark.parametrize("change", CHECKSUMS, ids=range(len(CHECKSUMS)))
def test_07_checksum_with_other_capitals_is_damage(
    real: RealJournal, change: Callable[[bytes], bytes]
) -> None:
    tried = 0
    for n in range(10, 50):
        line = real.lines[n]
        crc = line[-11:-3]
        other = change(crc)
        if other != crc:
            tried += 1
            changed = line[:-11] + other + line[-3:]
            write(real, *real.lines[:n], changed, *real.lines[n + 1 :])
            assert real.verdict(n) == ("damaged", n + 1)
    assert tried > 30


def test_08_unsynced_records_may_reach_the_disk_in_any_order(
    real: RealJournal,
) -> None:
    last = len(real.lines) - 1
    known = real.records[last].durable
    assert known < last, "the last commit has several records"
    for lost in range(known, last + 1):
        lines = [
            b"\0" * len(line) if n == lost else line
            for n, line in enumerate(real.lines)
        ]
        write(real, *lines)
        assert mended(real) == lost


def test_08_missing_synced_record_is_damage(real: RealJournal) -> None:
    """The negative control: the same gap in a batch that was already synced."""
    hole = real.records[-1].durable - 1
    lines = [b"\0" * len(x) if n == hole else x for n, x in enumerate(real.lines)]
    write(real, *lines)
    refused(real, hole + 1)


def test_12_newer_format_is_left_untouched(real: RealJournal) -> None:
    newer = sealed_again(real.lines[20], b'{"v":1,', b'{"v":2,')
    write(real, *real.lines[:20], newer, b"torn")
    content, beside = (
        real.folder.journal.read_bytes(),
        sorted(real.folder.path.iterdir()),
    )
    with pytest.raises(JournalTooNew, match="record 21: format 2") as caught:
        recover(real.folder.journal, real.folder.id)
    assert caught.value.hint == "use the provctl version that wrote it, or a newer one"
    assert real.folder.journal.read_bytes() == content
    assert sorted(real.folder.path.iterdir()) == beside


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_13_empty_journal_is_damage_and_not_a_new_run(
    real: RealJournal, cut: int
) -> None:
    first = real.lines[0][:cut]
    write(real, first)
    with pytest.raises(JournalDamaged, match="it contains no complete record"):
        recover(real.folder.journal, real.folder.id)
    assert real.folder.journal.read_bytes() == first


# A record that is sealed as it should be, and still is none.
CRAFTED = {
    "14-deep": (b'"at":', b'"x":' + b"[" * 200_000 + b"]" * 200_000 + b',"at":'),
    "14-digits": (b'"at":', b'"x":' + b"1" * 5000 + b',"at":'),
    "14-huge": (b'"at":', b'"x":"' + b"x" * LINE_MAX + b'","at":'),
    "15-twice": (b'"at":', b'"seq":4,"at":'),
    "15-nan": (b'"at":', b'"x":NaN,"at":'),
    "15-infinite": (b'"at":', b'"x":-Infinity,"at":'),
    "15-half-a-character": (b'"at":', b'"x":"\xed\xa0\x80","at":'),
    "15-wide": (b'"at":', b'"x":"' + "é".encode("utf-16") + b'","at":'),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_14_15_valid_seal_does_not_make_a_wrong_record_valid(
    real: RealJournal, name: str
) -> None:
    crafted = sealed_again(real.lines[20], *CRAFTED[name])
    write(real, *real.lines[:20], crafted, *real.lines[21:])
    began = time.process_time()
    refused(real, 21)
    assert time.process_time() - began < 5


def test_14_15_control_correct_record_with_a_new_seal_is_accepted(
    real: RealJournal,
) -> None:
    """The negative control: the same change, but the record is correct."""
    harmless = sealed_again(real.lines[20], b'"at":', b'"x":[[1e5]],"at":')
    write(real, *real.lines[:20], harmless)
    reader = JournalReader(real.folder.journal, real.folder.id)
    assert len(reader.read()) == 21
