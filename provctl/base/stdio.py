"""The standard streams of this process: that there are three, and what passes them.

Also what paths name. Text that is printed is made `visible`; who has sequences for the
terminal, or data for another program, says so: `as_it_is`, `data_stream`.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Optional, TextIO, cast

from provctl.base.text import visible

_MODES = ("r", "w", "w")
_LINKS = 40  # as many as Linux follows


def open_missing() -> None:
    """Open what is closed of stdin, stdout and stderr to the null device.

    To be called first: else the next file that is opened is one of them, and what
    is printed goes into it.
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
    """Writes to a file that is open, and keeps the first problem that this had.

    With `drops`, what cannot be written is dropped without an error.
    """

    def __init__(self, fd: int, *, drops: bool = False) -> None:
        super().__init__(fd, "w", closefd=False)
        self._drops = drops
        self.problem: Optional[OSError] = None

    def write(self, data: Any) -> Any:
        """Write bytes, and return how many were taken."""
        try:
            return super().write(data)
        except OSError as problem:
            self.problem = self.problem or problem
            if not self._drops:
                raise
            return len(data)


class PrintStream(io.TextIOWrapper):
    """A stream of text that no text of others can use to steer a terminal."""

    def write(self, text: str) -> int:
        """Write a text as it may be seen, and return its length."""
        super().write(visible(text))
        return len(text)

    def write_raw(self, text: str) -> int:
        """Write a text with all sequences that are in it."""
        return super().write(text)

    @property
    def buffer(self) -> Any:
        """None: else click writes around this, where the encoding is ASCII."""
        return None

    @property
    def binary(self) -> BinaryIO:
        """What takes bytes."""
        return cast("BinaryIO", super().buffer)


class _AsItIs:
    """A stream that hands over to another, but writes texts as they are."""

    def __init__(self, stream: PrintStream) -> None:
        self._stream = stream
        self.write = stream.write_raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def raw_output(stream: TextIO) -> TextIO:
    """Return the same stream for who prints sequences of its own, and texts made safe."""
    return (
        cast("TextIO", _AsItIs(stream)) if isinstance(stream, PrintStream) else stream
    )


def data_stream(stream: TextIO) -> TextIO:
    """Return the same stream for texts that are data: as they are, but at a terminal."""
    return stream if stream.isatty() else raw_output(stream)


def binary_of(stream: TextIO) -> BinaryIO:
    """Return what is below a stream of text, for bytes that are data."""
    return stream.binary if isinstance(stream, PrintStream) else stream.buffer


def text_stream(output: Output, like: TextIO) -> TextIO:
    """Return a stream of text to an output, in the encoding of another stream.

    What the encoding cannot say is written as an escape sequence.
    """
    return PrintStream(
        io.BufferedWriter(output),
        encoding=like.encoding,
        errors="backslashreplace",
        line_buffering=output.isatty(),
    )


def fd_of_path(path: Path) -> Optional[int]:
    """Return the number of the open file that a path such as /dev/stdout names.

    Only of a file that this process was started with. To open it once more would
    give it another offset, and what was written there would be written over.
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
