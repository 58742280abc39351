"""A line of the journal holds any event; an incomplete or changed line is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine import events as ev
from provctl.storage.journal.codec import (
    FORMAT,
    LINE_MAX,
    START,
    JournalRecord,
    NewerFormat,
    OtherRun,
    decode,
    encode,
    seal,
)
from tests.support.any_event import EXAMPLES, KINDS, any_event

STARTED = ev.AttemptStarted("r", 1763900000.125, "server-1", 1)
GOLDEN = Path(__file__).parents[3] / "golden" / "journal"


def line(event: ev.Event = STARTED) -> bytes:
    return encode(event, seq=7, durable=6, prev="6001f309")[0][:-1]


def sealed(text: str) -> bytes:
    """A line with this record, and the right seal."""
    return seal(text)[0][:-1]


def crafted(**changes: str) -> bytes:
    """The line of an event, sealed again after its JSON was changed by hand."""
    text = line().decode("ascii")[:-18] + "}"
    for old, new in changes.items():
        assert f'"{old}":' in text
        text = text.replace(f'"{old}":', new)
    return sealed(text)


def test_line_has_the_documented_format() -> None:
    raw, crc = encode(STARTED, seq=7, durable=6, prev="6001f309")
    assert raw == (
        b'{"v":1,"seq":7,"dur":6,"type":"attempt_started","at":1763900000.125,'
        b'"task":"server-1","attempt":1,"prev":"6001f309","crc":"%s"}\n'
        % crc.encode("ascii")
    )
    assert decode(raw[:-1], "r") == JournalRecord(7, 6, "6001f309", crc, STARTED)


@given(event=any_event(), seq=st.integers(1), durable=st.integers(0))
def test_any_event_is_read_back_unchanged(
    event: ev.Event, seq: int, durable: int
) -> None:
    raw, crc = encode(event, seq=seq, durable=durable, prev=START)
    assert raw.endswith(b'"}\n')
    assert raw.count(b"\n") == 1
    assert decode(raw[:-1], "r") == JournalRecord(seq, durable, START, crc, event)
    assert type(decode(raw[:-1], "r").event) is type(event)


def test_journal_of_the_first_version_is_read() -> None:
    kept = (GOLDEN / "v1.jsonl").read_bytes()
    assert [decode(raw, "r").event for raw in kept.splitlines()] == list(EXAMPLES)
    assert {type(event) for event in EXAMPLES} == set(KINDS)


def test_line_format_of_the_first_version_is_unchanged(
    golden: Callable[[str, str], None],
) -> None:
    # Once released, these bytes are on disks: only more may come to them.
    text, crc = "", START
    for number, event in enumerate(EXAMPLES, 1):
        raw, crc = encode(event, seq=number, durable=number - 1, prev=crc)
        text += raw.decode("ascii")
    golden("journal/v1-written.jsonl", text)


def test_first_line_names_its_run() -> None:
    first, *others = (GOLDEN / "v1-written.jsonl").read_bytes().splitlines()
    assert json.loads(first)["run"] == "r"
    with pytest.raises(OtherRun, match="this is the journal of run r"):
        decode(first, "another")
    # Lines of earlier versions, and all others, are of the folder they are in.
    kept = (GOLDEN / "v1.jsonl").read_bytes().splitlines()[0]
    for raw in (kept, others[0]):
        assert decode(raw, "another").event.run == "another"


def test_default_values_are_not_written_and_are_restored() -> None:
    submitted = ev.RunSubmitted("r", 1.0, "w", 1, "d")
    record = json.loads(line(submitted))
    assert not record.keys() & {"priority", "batch", "max_parallel", "fail_fast"}
    assert decode(line(submitted), "r").event == submitted


def test_unknown_field_of_a_later_version_is_ignored() -> None:
    raw = crafted(attempt='"mood":"good","attempt":')
    assert decode(raw, "r").event == STARTED


@pytest.mark.parametrize(
    "change",
    [
        lambda crc: crc.upper(),
        lambda crc: crc[:-1] + ("0" if crc[-1] != "0" else "1"),
        lambda crc: "0x" + crc[2:],
        lambda crc: "0_" + crc[2:],
        lambda crc: "+" + crc[1:],
        lambda crc: " " + crc[1:],
    ],
)
def test_checksum_is_compared_as_text(change: Callable[[str], str]) -> None:
    raw = with_checksum_that_number_parsers_take_many_ways()
    crc = raw[-10:-2].decode("ascii")
    other = change(crc).encode("ascii")
    assert len(other) == 8
    assert other != raw[-10:-2]
    decode(raw, "r")
    with pytest.raises(ValueError, match="checksum does not match"):
        decode(raw[:-10] + other + raw[-2:], "r")


def with_checksum_that_number_parsers_take_many_ways() -> bytes:
    """A line whose checksum starts with 00 and has a letter: `int` takes `0_12ab`."""
    lines = (line(replace(STARTED, attempt=n)) for n in range(100_000))
    fits = (raw for raw in lines if raw[-10:-8] == b"00" and not raw[-8:-2].isdigit())
    return next(fits)


REFUSED = {
    "duplicate key": crafted(attempt='"task":"x","attempt":'),
    "NaN is not JSON": crafted(at='"x":NaN,"at":'),
    "Infinity is not JSON": crafted(at='"x":Infinity,"at":'),
    "-Infinity is not JSON": crafted(at='"x":-Infinity,"at":'),
    "nested too deeply": crafted(at='"x":' + "[" * 200_000 + "]" * 200_000 + ',"at":'),
    "incomplete record: 'seq'": crafted(seq='"sec":'),
    "incomplete record: 'prev'": crafted(prev='"prec":'),
    "incomplete record: .*missing.*'task'": crafted(task='"tusk":'),
    "Expecting": crafted(at='"x":oops,"at":'),
}


@pytest.mark.parametrize("why", REFUSED)
def test_valid_seal_does_not_make_a_wrong_record_valid(why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(REFUSED[why], "r")


def test_endless_number_is_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        decode(crafted(at='"x":' + "1" * 5000 + ',"at":'), "r")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_only_ascii_is_read(encoding: str) -> None:
    half = b"\xed\xa0\x80" if encoding == "utf-8" else "é".encode(encoding)
    whole = line()
    body = whole[:-18].replace(b"server-1", half)
    raw = body + b',"crc":"%08x"}' % crc32(body)
    with pytest.raises(ValueError, match="ascii"):
        decode(raw, "r")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b"\0" * 300,
        b'{"crc":"00000000"}',
        line()[:-1],
        line() + b" ",
    ],
    ids=range(7),
)
def test_text_that_is_no_line_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a complete record|does not match"):
        decode(raw, "r")


def test_huge_line_is_neither_written_nor_parsed() -> None:
    huge = replace(STARTED, task="x" * LINE_MAX)
    with pytest.raises(ValueError, match="too large"):
        line(huge)
    with pytest.raises(ValueError, match="not a complete record"):
        decode(b'{"task":"' + b"x" * LINE_MAX + line()[-40:], "r")


def test_largest_written_line_is_read() -> None:
    most = LINE_MAX - len(line(replace(STARTED, task=""))) - 1
    fits = replace(STARTED, task="x" * most)
    assert decode(line(fits), "r").event == fits
    with pytest.raises(ValueError, match="too large"):
        line(replace(STARTED, task="x" * (most + 1)))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_value_that_json_cannot_hold_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        line(ev.AttemptFinished("r", 1.0, "a", 1, "succeeded", output=[number]))


@pytest.mark.parametrize(
    ("raw", "story"),
    [
        (crafted(v=f'"v":{FORMAT + 1},"w":'), f"format {FORMAT + 1}"),
        (
            crafted(type='"type":"attempt_dreamt","x":'),
            "unknown record type .*attempt_dreamt",
        ),
        (crafted(type='"type":[1],"x":'), "unknown record type"),
    ],
)
def test_newer_format_is_distinguished_from_damage(raw: bytes, story: str) -> None:
    with pytest.raises(NewerFormat, match=story):
        decode(raw, "r")
