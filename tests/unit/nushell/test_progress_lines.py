"""Lines that report progress, and how they are read from a growing log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine.view import Progress
from provctl.nushell.progress_lines import MAX_LINE, ProgressReader, parse_progress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("PROGRESS: 40", Progress(40)),
        ("PROGRESS:40", Progress(40)),
        ("PROGRESS: 40%", Progress(40)),
        ("PROGRESS: 40% pulling images", Progress(40, "pulling images")),
        ("PROGRESS: 40 pulling images\r", Progress(40, "pulling images")),
        ("PROGRESS: 12.5 %", Progress(12.5)),
        ("PROGRESS: 0.5", Progress(0.5)),
        ("PROGRESS: 1/4 node", Progress(25, "node", 1, 4)),
        ("PROGRESS: 1 / 4", Progress(25, "", 1, 4)),
        ("PROGRESS: 9/4", Progress(100, "", 9, 4)),
        ("PROGRESS: 1/0 node", Progress(None, "node", 1, 0)),
        ("PROGRESS: 250%", Progress(100)),
        ("PROGRESS: -3", Progress(0)),
        ("PROGRESS: 40GB copied", Progress(None, "40GB copied")),
        ("PROGRESS: pulling", Progress(None, "pulling")),
        ('PROGRESS: {"percent": 40, "message": "x"}', Progress(40, "x")),
        ('PROGRESS: {"percent": 1e999}', Progress(100)),
        ('PROGRESS: {"percent": 1' + "0" * 999 + "}", Progress(100)),
        ('PROGRESS: {"message": "x"}', Progress(None, "x")),
        ('PROGRESS: {"percent": true, "message": 3}', None),
        ('PROGRESS: {"percent": NaN}', None),
        ("PROGRESS: {oops", None),
        ("PROGRESS: " + '{"a":' * 700, None),
        ("PROGRESS:", None),
        ("progress: 40", None),
        (" PROGRESS: 40", Progress(40)),
        ("done PROGRESS: 40", Progress(40)),
        ("done PROGRESS: 40% pulling images", Progress(40, "pulling images")),
        ("12:00:01 | INF | PROGRESS: 3/7 node", Progress(300 / 7, "node", 3, 7)),
        ("[web-1] PROGRESS:12.5%.", Progress(12.5)),
        ('{"msg": "PROGRESS: 40"}', Progress(40)),
        ("\x1b[32mPROGRESS: 40%\x1b[0m", Progress(40)),
        ("2026|INF|\x1b[1;34mPROGRESS: 4 a\x1b[0m", Progress(4, "a")),
        ("NO PROGRESS: 40 items", Progress(40, "items")),
        ("PROGRESS: pulling (PROGRESS: 40)", Progress(None, "pulling (PROGRESS: 40)")),
        ("a PROGRESS: x, PROGRESS: 40%", Progress(40)),
        ("done PROGRESS: pulling", None),
        ('done PROGRESS: {"percent": 40}', None),
        ("done PROGRESS: 40GB copied", None),
        ("done PROGRESS: 1.2.3", None),
        ("done PROGRESS: 40_000", None),
        ("NOPROGRESS: 40", None),
        ("MY_PROGRESS: 40", None),
        ("done PROGRESS:", None),
        ("done PROGRESS: 40" + "x" * MAX_LINE, None),
        ("PROGRESS: 1 " + "x" * MAX_LINE, None),
        ("PROGRESS: 1 a\x1b[31m\x07b\u202ec", Progress(1, "a [31m b c")),
        ("PROGRESS: 1 " + "x" * 1000, Progress(1, "x" * 200)),
        ("PROGRESS: ٤٠", Progress(None, "٤٠")),
    ],
)
def test_progress_line_is_parsed(line: str, progress: Optional[Progress]) -> None:
    assert parse_progress(line) == progress


@given(st.text().map("PROGRESS:".__add__) | st.text())
def test_any_line_is_parsed_without_error_and_within_limits(line: str) -> None:
    progress = parse_progress(line)
    if progress is not None:
        assert progress.percent is None or 0 <= progress.percent <= 100
        assert len(progress.message) <= 200
        assert all(character >= " " for character in progress.message)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def append(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


def test_newest_line_is_reported_once(log: Path) -> None:
    reader = ProgressReader(log)
    append(log, b"PROGRESS: 1\nPROGRESS: 2 two\nsomething else\n")
    assert reader.read() == Progress(2, "two")
    assert reader.read() is None
    append(log, b"PROGRESS: 3\n")
    assert reader.read() == Progress(3)


def test_missing_file_has_no_progress(log: Path) -> None:
    reader = ProgressReader(log)
    assert reader.read() is None
    append(log, b"PROGRESS: 1\n")
    assert reader.read() == Progress(1)


def test_directory_has_no_progress(tmp_path: Path) -> None:
    assert ProgressReader(tmp_path).read() is None


def test_incomplete_line_waits_for_its_end(log: Path) -> None:
    reader = ProgressReader(log)
    append(log, b"PROGRESS: 1\nPROGRESS: 4")
    assert reader.read() == Progress(1)
    assert reader.read() is None
    append(log, b"2 \xc3")
    assert reader.read() is None
    append(log, b"\xa9\n")
    assert reader.read() == Progress(42, "é")


def test_only_the_end_of_long_output_is_read(log: Path) -> None:
    reader = ProgressReader(log)
    append(log, b"PROGRESS: 1\n" + b"x" * 200_000 + b"\nPROGRESS: 2\n")
    assert reader.read() == Progress(2)
    append(log, b"PROGRESS: 3\n" + b"x\n" * 100_000)
    assert reader.read() is None


def test_middle_of_a_long_line_is_no_progress(log: Path) -> None:
    reader = ProgressReader(log)
    window = b"PROGRESS: 50\n"
    append(log, b"x" * 100_000 + window + b"y" * (64 * 1024 - len(window)))
    assert reader.read() is None
    append(log, b"\nPROGRESS: 3\n")
    assert reader.read() == Progress(3)


def test_truncated_log_is_read_again(log: Path) -> None:
    reader = ProgressReader(log)
    append(log, b"PROGRESS: 1\n" * 10)
    assert reader.read() == Progress(1)
    log.write_bytes(b"PROGRESS: 2\n")
    assert reader.read() == Progress(2)


def test_bytes_that_are_not_utf_8_are_replaced(log: Path) -> None:
    append(log, b"\xff\xfe\nPROGRESS: 5 a\xffb\n")
    assert ProgressReader(log).read() == Progress(5, "a\ufffdb")
