"""A cache file is used only if it is complete and our own."""

from __future__ import annotations

import os
from binascii import crc32
from typing import TYPE_CHECKING, List

import pytest

from provctl.base.record_cache import read_cache, write_cache
from tests.support.run_folders import disk_full_beyond

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = {"a": "1\t2", "b": "3"}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "shelf"


def names(shelf: Path) -> List[str]:
    return [path.name for path in shelf.parent.iterdir()]


def test_cache_returns_what_was_written(shelf: Path) -> None:
    assert read_cache(shelf, "h") == {}
    write_cache(shelf, "h", RECORDS)
    assert read_cache(shelf, "h") == read_cache(shelf, None) == RECORDS
    assert read_cache(shelf, "other") == {}
    assert names(shelf) == ["shelf"]
    assert shelf.stat().st_mode & 0o077 == 0


def test_records_that_are_not_one_ascii_line_are_left_out(shelf: Path) -> None:
    write_cache(
        shelf, "h", {**RECORDS, "é": "1", "c\nd": "1", "e": "\x0b", "\udcff": ""}
    )
    assert read_cache(shelf, "h") == RECORDS


@pytest.mark.parametrize("content", [b"h\nno tab", b"h\n\xff\t1", b"", b"h\n\na\t1"])
def test_cache_with_invalid_content_is_ignored(shelf: Path, content: bytes) -> None:
    write_cache(shelf, "h", RECORDS)
    shelf.write_bytes(b"%08x\n" % crc32(content) + content)
    assert read_cache(shelf, "h") == {}


def test_truncated_cache_is_ignored(shelf: Path) -> None:
    write_cache(shelf, "h", RECORDS)
    whole = shelf.read_bytes()
    for end in range(len(whole)):
        shelf.write_bytes(whole[:end])
        assert read_cache(shelf, "h") == {}


def test_foreign_cache_file_is_ignored(shelf: Path, tmp_path: Path) -> None:
    write_cache(shelf, "h", RECORDS)
    shelf.rename(tmp_path / "elsewhere")
    shelf.symlink_to(tmp_path / "elsewhere")
    assert read_cache(shelf, "h") == {}
    write_cache(shelf, "h", RECORDS)  # in place of the link
    assert not shelf.is_symlink()
    assert read_cache(shelf, "h") == RECORDS
    if os.geteuid() == 0:
        os.chown(shelf, 1234, 1234)
        assert read_cache(shelf, "h") == {}
    shelf.unlink()
    os.mkfifo(shelf)
    assert read_cache(shelf, "h") == {}


def test_full_disk_keeps_the_old_cache_and_leaves_no_draft(shelf: Path) -> None:
    write_cache(shelf, "h", RECORDS)
    with disk_full_beyond(10):
        write_cache(shelf, "h", {"c": "4"})
    assert read_cache(shelf, "h") == RECORDS
    assert names(shelf) == ["shelf"]
