"""Logs are limited, and the latest lines stay readable across a rotation."""

from __future__ import annotations

import fcntl
import os
from contextlib import closing
from typing import TYPE_CHECKING

from provctl.storage.log_rotation import LOG_MAX, LogReader, append, older, open_log

if TYPE_CHECKING:
    from pathlib import Path

FULL = "x" * 99 + "\n"


def _fill(log: Path) -> None:
    append(log, FULL * (LOG_MAX // len(FULL) + 1))


def test_large_log_becomes_the_older_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append(log, "first\n")
    append(log, "second\n")
    assert log.read_text() == "first\nsecond\n"
    assert not older(log).exists()
    _fill(log)
    append(log, "third\n")
    assert log.read_text() == "third\n"
    assert older(log).read_text().startswith("first\nsecond\n")
    assert {file.stat().st_mode & 0o777 for file in (log, older(log))} == {0o600}


def test_there_is_only_one_older_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for n in range(4):
        append(log, f"{n}\n")
        _fill(log)
    assert sorted(tmp_path.glob("log*")) == [log, older(log)]
    assert [file.read_text()[0] for file in (log, older(log))] == ["3", "2"]


def test_rotation_by_another_process_is_not_disturbed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _fill(log)
    with log.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        append(log, "kept\n")
    assert log.read_text().endswith("kept\n")
    assert not older(log).exists()
    append(log, "new\n")
    assert log.read_text() == "new\n"


def test_log_that_cannot_be_rotated_is_still_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    older(log).mkdir()
    _fill(log)
    append(log, "last\n")
    assert log.read_text().endswith("last\n")


def test_unwritable_log_raises_no_error(tmp_path: Path) -> None:
    append(tmp_path / "missing" / "log", "lost\n")


def test_reader_continues_across_rotations(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append(log, "1\n")
    with closing(LogReader(log)) as reader:
        assert reader.first() == "1\n"
        append(log, "2\n")
        assert reader.more() == "2\n"
        fd = open_log(log)
        _fill(log)
        append(log, "4\n")
        os.write(fd, b"3\n")  # by who opened it before
        os.close(fd)
        assert reader.more().replace(FULL, "") == "3\n4\n"
        assert reader.more() == ""
    with closing(LogReader(log)) as reader:
        assert reader.first().replace(FULL, "") == "1\n2\n3\n4\n"
    log.unlink()
    with closing(LogReader(log)) as reader:
        assert reader.first().replace(FULL, "") == "1\n2\n3\n"


def test_end_of_a_too_large_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("y" * 50 + "\n" + FULL * (8 * LOG_MAX // len(FULL)) + "end\n")
    with closing(LogReader(log)) as reader:
        text = reader.first()
    assert len(text) <= 4 * LOG_MAX
    assert set(text.splitlines()) == {FULL.strip(), "end"}
