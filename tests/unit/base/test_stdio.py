"""All printed text passes one class, which escapes control characters."""

from __future__ import annotations

import io
from typing import Any, Callable

import click
import pytest

from provctl.base.stdio import PrintStream, binary_of, data_stream, raw_output

HOSTILE = "a\x1b]0;t\x07\u202e\n"
SHOWN = b"a\\x1b]0;t\\x07\\u202e\n"


class _Raw(io.BytesIO):
    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _written(
    write: Callable[[PrintStream], Any],
    *,
    encoding: str = "utf-8",
    terminal: bool = False,
) -> bytes:
    raw = _Raw(terminal=terminal)
    stream = PrintStream(raw, encoding=encoding, errors="backslashreplace")
    write(stream)
    stream.flush()
    return raw.getvalue()


@pytest.mark.parametrize(
    "write",
    [
        lambda stream: stream.write(HOSTILE),
        lambda stream: stream.writelines([HOSTILE]),
        lambda stream: print(HOSTILE, end="", file=stream),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_printed_text_has_no_control_characters(
    write: Callable[[PrintStream], Any], encoding: str
) -> None:
    assert _written(write, encoding=encoding) == SHOWN


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_printed_by_click_has_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    def write(stream: PrintStream) -> None:
        monkeypatch.setattr("sys.stdout", stream)
        click.echo(HOSTILE, nl=False, color=True)

    assert _written(write, encoding=encoding) == SHOWN


def test_raw_output_prints_escape_sequences() -> None:
    def write(stream: PrintStream) -> None:
        stream.write("\x1b")
        raw_output(stream).write("\x1b[1m")
        raw_output(stream).flush()
        stream.write("\x1b")

    assert _written(write) == b"\\x1b\x1b[1m\\x1b"


@pytest.mark.parametrize(("terminal", "shown"), [(True, b"\\x1b"), (False, b"\x1b")])
def test_data_is_unchanged_except_at_a_terminal(terminal: bool, shown: bytes) -> None:
    written = _written(lambda s: data_stream(s).write("\x1b"), terminal=terminal)
    assert written == shown


def test_bytes_are_unchanged() -> None:
    assert _written(lambda s: binary_of(s).write(b"\x1b\xff")) == b"\x1b\xff"


def test_other_streams_are_used_directly() -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    assert raw_output(stream) is stream
    assert binary_of(stream) is stream.buffer
