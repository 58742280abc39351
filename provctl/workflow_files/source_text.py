"""Workflow files as text: reading one, and offsets as lines and columns."""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, List, Union

from provctl.base.resource_exhaustion import describe, is_resource_exhaustion
from provctl.base.text import NotText, decode
from provctl.errors import Diagnostic, InvalidWorkflow, StateDirError
from provctl.workflow_files.problems import SourceLocation

if TYPE_CHECKING:
    from pathlib import Path


MAX_BYTES = 16 << 20
# The file names of workflow files.
SUFFIXES = (".ncl", ".json", ".toml", ".k")


@dataclass(frozen=True)
class SourceText:
    """The text of a file; `name` is the name that the user gave."""

    name: str
    text: str

    @cached_property
    def lines(self) -> List[str]:
        """The lines, without their ends."""
        return [line.rstrip("\r") for line in self.text.split("\n")]

    @cached_property
    def _starts(self) -> List[int]:
        lengths = (len(line) + 1 for line in self.text.split("\n"))
        return [0, *accumulate(lengths)][:-1]

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both counted from 1."""
        return self._starts[min(line, len(self._starts)) - 1] + column - 1

    def place(self, start: int, end: int) -> SourceLocation:
        """The place of the text from `start` to `end`, as far as its line goes."""
        row = bisect_right(self._starts, start) - 1
        column = start - self._starts[row]
        text = self.lines[row]
        span = max(1, min(end - start, len(text) - column))
        return SourceLocation(self.name, row + 1, column + 1, span, text)

    def invalid(self, message: str, hint: str = "", *, at: int) -> InvalidWorkflow:
        """One mistake at an offset of this file, as an error to raise."""
        place = self.place(at, at + 1)
        return InvalidWorkflow(
            [
                Diagnostic(
                    message, self.name, place.line, place.column, place.text, 1, hint
                )
            ]
        )


def invalid(path: Union[Path, str], message: str, hint: str = "") -> InvalidWorkflow:
    """One mistake about a file as a whole, as an error to raise."""
    return InvalidWorkflow([Diagnostic(message, str(path), hint=hint)])


def read_source(path: Path) -> SourceText:
    """Read a workflow file.

    Raises InvalidWorkflow if it is not a readable, regular file of at most
    16 MiB of UTF-8, StateDirError if there is no descriptor or memory to read it now.
    """
    try:
        # Opening a FIFO would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, OSError) and is_resource_exhaustion(error):
            message = f"{path}: cannot be read now: {reason}"
            raise StateDirError(message, hint=describe(error, str(path))) from error
        raise invalid(path, f"cannot be read: {reason}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise invalid(path, "is not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise invalid(path, f"cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(content) > MAX_BYTES:
        raise invalid(path, f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        return SourceText(str(path), decode(content))
    except NotText as error:
        raise invalid(path, str(error)) from error
