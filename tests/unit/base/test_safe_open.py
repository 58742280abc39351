"""Files of the state directory are opened only if they are regular files of our own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Dict

import pytest

from provctl.base.flock import is_locked
from provctl.base.safe_open import ForeignFile, check_folder, open_own, read_own, reader

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"of somebody else"
WRITES = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
FLAGS = [os.O_RDONLY, os.O_RDWR | os.O_CREAT, WRITES, os.O_WRONLY | os.O_APPEND]


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _hard_link(path: Path, victim: Path) -> None:
    os.link(str(victim), str(path))


def _fifo(path: Path, _: Path) -> None:
    os.mkfifo(str(path))


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _of_another(path: Path, _: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path.write_bytes(TEXT)
    os.chown(str(path), 12345, 12345)


MAKERS: Dict[str, Callable[[Path, Path], None]] = {
    "it is a symbolic link": _link,
    "other hard links": _hard_link,
    "not a regular file": _fifo,
    "it is not a regular file": _folder,
    "belongs to another user": _of_another,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    victim = tmp_path / "victim"
    victim.write_bytes(TEXT)
    return victim


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("why", MAKERS)
def test_foreign_file_is_refused_and_unchanged(
    folder: Path, victim: Path, why: str, flags: int
) -> None:
    path = folder / "file"
    MAKERS[why](path, victim)
    with pytest.raises(ForeignFile, match=why) as caught:
        open_own(path, flags)
    assert caught.value.filename == str(path)
    assert victim.read_bytes() == TEXT
    assert not is_locked(path)


@pytest.mark.parametrize("flags", FLAGS)
def test_regular_file_is_opened(folder: Path, flags: int) -> None:
    (folder / "file").write_bytes(TEXT)
    os.close(open_own(folder / "file", flags))
    assert read_own(folder / "file") == (b"" if flags & os.O_TRUNC else TEXT)


def test_new_file_is_private(folder: Path) -> None:
    os.close(open_own(str(folder / "file"), WRITES))
    assert (folder / "file").stat().st_mode & 0o777 == 0o600


def test_missing_file_raises_file_not_found(folder: Path) -> None:
    for path in (folder / "file", folder / "none" / "file"):
        with pytest.raises(FileNotFoundError):
            reader(path)


def test_draft_may_still_be_linked_to_its_file(folder: Path) -> None:
    (folder / "1.1.new").write_bytes(TEXT)
    os.link(str(folder / "1.1.new"), str(folder / "1.1.go"))
    assert read_own(folder / "1.1.go") == TEXT
    os.link(str(folder / "1.1.new"), str(folder / "2.1.go"))
    for name in ("1.1.go", "2.1.go"):
        with pytest.raises(ForeignFile, match="other hard links"):
            read_own(folder / name)


@pytest.mark.parametrize("what", ["link", "file", "open to all"])
def test_file_in_a_foreign_folder_is_not_opened(
    folder: Path, tmp_path: Path, what: str
) -> None:
    (folder / "file").write_bytes(TEXT)
    place = folder
    if what == "link":
        place = tmp_path / "link"
        place.symlink_to(folder)
    elif what == "file":
        place = folder / "file"
    else:
        folder.chmod(0o777)
    with pytest.raises(ForeignFile):
        read_own(place / "file")
    with pytest.raises(ForeignFile):
        check_folder(place)


def test_file_that_is_replaced_after_opening_is_still_read(folder: Path) -> None:
    (folder / "file").write_bytes(TEXT)
    with reader(folder / "file") as file:
        (folder / "file").unlink()
        assert file.read() == TEXT


def test_file_is_read_from_an_offset(folder: Path) -> None:
    content = os.urandom(100_000)
    (folder / "file").write_bytes(content)
    for start in (0, 1, 99_999, 100_000, 100_001):
        assert read_own(folder / "file", start) == content[start:]
    (folder / "empty").touch()
    assert read_own(folder / "empty") == b""
