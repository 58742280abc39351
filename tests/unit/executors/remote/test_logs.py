"""Logs of nodes: read from a place on, sent again when they were cut, copied whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple
from zlib import crc32

import pytest

from provctl.executors.protocol import AttemptRef
from provctl.executors.remote.log_source import BLOCK, LogSource
from provctl.executors.remote.mirror import LogMirror

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def places(tmp_path: Path) -> Tuple[AttemptRef, AttemptRef]:
    """The attempt on its node, and its copy."""
    made = []
    for name in ("node", "owner"):
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        made.append(AttemptRef("r1", "a", 1, folder, 1))
    return made[0], made[1]


def copy(source: LogSource, mirror: LogMirror) -> int:
    """Copy all that is new, as an agent and an owner do; return how many blocks."""
    count = 0
    while True:
        found = source.read()
        if found is None:
            return count
        at, data = found
        if at == 0:
            mirror.cut(source.size)
        mirror.write(at, data)
        count += 1


def test_what_is_new_is_copied(places: Tuple[AttemptRef, AttemptRef]) -> None:
    source, mirror = LogSource(places[0]), LogMirror(places[1])
    assert source.read() is None
    assert source.sum() is None
    for text in (b"one\n", b"two\n", b"x" * (BLOCK + 7)):
        with places[0].file("log").open("ab") as file:
            file.write(text)
        assert source.is_behind
        copy(source, mirror)
    whole = places[0].file("log").read_bytes()
    assert places[1].file("log").read_bytes() == whole
    assert source.sum() == crc32(whole)
    assert mirror.is_as(source.size, crc32(whole))


def test_a_log_that_was_cut_is_copied_again(
    places: Tuple[AttemptRef, AttemptRef],
) -> None:
    log = places[0].file("log")
    source, mirror = LogSource(places[0]), LogMirror(places[1])
    log.write_bytes(b"a" * 100 + b"b" * 100)
    copy(source, mirror)
    for text in (
        b"a" * 50 + b"--cut--" + b"b" * 60,
        b"a" * 50 + b"--cut2--" + b"c" * 300,
    ):
        log.write_bytes(text)
        copy(source, mirror)
        assert places[1].file("log").read_bytes() == text
        assert mirror.is_as(len(text), crc32(text))


def test_the_next_owner_goes_on_where_the_last_one_stopped(
    places: Tuple[AttemptRef, AttemptRef],
) -> None:
    places[0].file("log").write_bytes(b"one\ntwo\n")
    places[1].file("log").write_bytes(b"one\n")
    mirror = LogMirror(places[1])
    source = LogSource(places[0], mirror.size)
    assert copy(source, mirror) == 1
    assert mirror.is_as(8, crc32(b"one\ntwo\n"))


def test_a_copy_that_is_another_is_noticed(
    places: Tuple[AttemptRef, AttemptRef],
) -> None:
    places[1].file("log").write_bytes(b"One\n")
    mirror = LogMirror(places[1])
    assert not mirror.is_as(4, crc32(b"one\n"))
    assert not mirror.is_as(3, crc32(b"One"))
    assert mirror.is_as(4, crc32(b"One\n"))  # the control
