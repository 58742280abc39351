"""Named files are written completely or not at all, and nothing else is replaced."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from provctl.base.atomic_write import write_whole

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_new_file_is_private(place: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        (place / "usual").touch()  # the control
        write_whole(place / "own", b"b")
    finally:
        os.umask(before)
    assert mode_of(place / "usual") == 0o666 & ~mask
    assert mode_of(place / "own") == 0o600
    assert sorted(path.name for path in place.iterdir()) == ["own", "usual"]


def test_existing_file_keeps_its_mode_and_its_link(place: Path) -> None:
    there, link = place / "there", place / "link"
    there.write_bytes(b"old")
    there.chmod(0o640)
    link.symlink_to(there)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert there.read_bytes() == b"new"
    assert mode_of(there) == 0o640


def test_special_file_is_written_to_and_kept(place: Path) -> None:
    # As root, a device that is replaced by a file is one less for everybody.
    link = place / "null"
    link.symlink_to("/dev/null")
    write_whole(link, b"gone")
    assert stat.S_ISCHR(link.stat().st_mode)
    assert os.readlink(str(link)) == "/dev/null"


def test_error_names_the_intended_file(place: Path) -> None:
    nowhere = place / "none" / "a"
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(nowhere, b"a")
    assert caught.value.filename == str(nowhere)


def test_failed_write_keeps_the_old_file(place: Path) -> None:
    folder = place / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(folder, b"a")
    with pytest.raises(FileNotFoundError):
        write_whole(place / "missing" / "file", b"a")
    assert [path.name for path in place.iterdir()] == ["folder"]


def test_leftover_of_a_killed_write_does_not_block_the_next(place: Path) -> None:
    (place / f".report.{os.getpid()}").write_bytes(b"half")
    write_whole(place / "report", b"whole")
    assert (place / "report").read_bytes() == b"whole"
    long = place / ("x" * 255)
    write_whole(long, b"whole")
    assert long.read_bytes() == b"whole"
