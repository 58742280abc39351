"""The standard streams of this process: they are open, and what is printed is safe.

Also files named by paths such as /dev/stdout. Printed text is made `visible`; a caller
with terminal sequences, or data for another program, uses `raw_output` or
`data_stream`.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Optional, TextIO, cast

from provctl.base.text import visible

_MODES = ("r", "w", "w")
_LINKS = 40  # the limit of Linux


def open_missing() -> None:
    """Open closed ones of stdin, stdout and stderr on the null device.

    Call this first: otherwise the next opened file becomes a standard stream, and
    messages are printed into it.
    """
    for fd, (name, mode) in enumerate(zip(("stdin", "stdout", "stderr"), _MODES)):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            os.set_inheritable(fd, True)
            stream = os.fdopen(fd, mode, closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class Output(io.FileIO):
    """Writes to an open file, and keeps the first error.

    With `drops`, what cannot be written is dropped without an error.
    """

    def __init__(self, fd: int, *, drops: bool = False) -> None:
        super().__init__(fd, "w", closefd=False)
        self._drops = drops
        self.problem: Optional[OSError] = None

    def write(self, data: Any) -> Any:
        """Write bytes, and return their number."""
        try:
            return super().write(data)
        except OSError as problem:
            self.problem = self.problem or problem
            if not self._drops:
                raise
            return len(data)


class PrintStream(io.TextIOWrapper):
    """A text stream into which foreign text cannot write control characters."""

    def write(self, text: str) -> int:
        """Write a text in its visible form, and return its length."""
        super().write(visible(text))
        return len(text)

    def write_raw(self, text: str) -> int:
        """Write a text with all its control sequences."""
        return super().write(text)

    @property
    def buffer(self) -> Any:
        """None: otherwise click writes around this stream if the encoding is ASCII."""
        return None

    @property
    def binary(self) -> BinaryIO:
        """The underlying binary stream."""
        return cast("BinaryIO", super().buffer)


class _AsItIs:
    """A stream that passes everything on, but writes texts unchanged."""

    def __init__(self, stream: PrintStream) -> None:
        self._stream = stream
        self.write = stream.write_raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def raw_output(stream: TextIO) -> TextIO:
    """Return the same stream for callers that print their own control sequences."""
    return (
        cast("TextIO", _AsItIs(stream)) if isinstance(stream, PrintStream) else stream
    )


def data_stream(stream: TextIO) -> TextIO:
    """Return the same stream for data: unchanged, except at a terminal."""
    return stream if stream.isatty() else raw_output(stream)


def binary_of(stream: TextIO) -> BinaryIO:
    """Return the binary stream below a text stream, for data."""
    return stream.binary if isinstance(stream, PrintStream) else stream.buffer


def text_stream(output: Output, like: TextIO) -> TextIO:
    """Return a text stream to an output, in the encoding of another stream.

    Characters that the encoding lacks are written as escape sequences.
    """
    return PrintStream(
        io.BufferedWriter(output),
        encoding=like.encoding,
        errors="backslashreplace",
        line_buffering=output.isatty(),
    )


def fd_of_path(path: Path) -> Optional[int]:
    """Return the number of the open file that a path such as /dev/stdout names.

    Only for files that were open when this process started. Opening it again would give
    it another offset, and overwrite earlier output.
    """
    own = f"/proc/{os.getpid()}/fd"
    for _ in range(_LINKS):
        folder = os.path.realpath(str(path.parent))
        if folder in ("/dev/fd", own) and path.name.isdecimal():
            return int(path.name) if _is_inherited(int(path.name)) else None
        if not path.is_symlink():
            return None
        path = Path(folder, os.readlink(str(path)))  # from 3.9 on
    return None


def _is_inherited(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except (OSError, OverflowError):
        return False
