"""Parses Nickel's error texts: messages, and the locations they refer to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterator, List, Optional, Tuple

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TITLE = re.compile(r"error(?:\[[^\]]*\])?: (.*)")
_PLACE = re.compile(r"\s*┌─ (.+):(\d+):(\d+)\s*$")
_MARKS = re.compile(r"\s*│ [ ^-]*?(\^+|-+(?!.*\^))")
_LABEL = re.compile(r"\s*│ [\s│╭╰─'^-]*\^\s+(\w.*)")
_NOTE = re.compile(r"\s*= (.*)")

# Labels that add nothing to the message.
_IDLE_LABELS = ("applied to this expression", "this expression")


@dataclass
class Snippet:
    """A location of an error.

    `primary`: it is marked with `^`. `span` is 0 for more than one line.
    """

    file: str
    line: int
    column: int
    span: int = 0
    primary: bool = False
    label: str = ""


@dataclass
class NickelDiagnostic:
    """One error of Nickel: its message, its locations, its notes."""

    message: str
    snippets: List[Snippet] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)


def parse_errors(text: str) -> Tuple[NickelDiagnostic, ...]:
    """Every error in a text of Nickel; empty if its layout is unknown."""
    return tuple(_read(_COLOURS.sub("", text).splitlines()))


def _read(lines: List[str]) -> Iterator[NickelDiagnostic]:
    current: Optional[NickelDiagnostic] = None
    for line in lines:
        title = _TITLE.match(line)
        if title:
            if current is not None:
                yield current
            current = NickelDiagnostic(title.group(1))
        elif current is not None and line.strip():
            _add(line, current)
    if current is not None:
        yield current


def _add(line: str, current: NickelDiagnostic) -> None:
    """Process one line below the title of an error."""
    place = _PLACE.match(line)
    note = _NOTE.match(line)
    if place:
        file, row, column = place.groups()
        current.snippets.append(Snippet(file, int(row), int(column)))
    elif note:
        current.notes.append(note.group(1))
    elif not current.snippets:
        current.message += f": {line.strip()}"
    else:
        _mark(line, current.snippets[-1])


def _mark(line: str, snippet: Snippet) -> None:
    marks = _MARKS.match(line)
    if marks and not snippet.span:
        snippet.primary = "^" in marks.group(1)
        snippet.span = len(marks.group(1))
    label = _LABEL.match(line)
    if label:
        snippet.primary = True
        if not label.group(1).startswith(_IDLE_LABELS):
            snippet.label = label.group(1).strip()
