"""Finds the lines of scripts in their workflow file.

A script is searched by its text, not by its path: what Nickel computes has no location,
and asking Nickel for the location of one field takes as long as an evaluation.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Callable, Dict, List, Optional

if TYPE_CHECKING:
    from provctl.workflow_files.source_text import SourceText


_MOST = 200_000_000  # characters to search, over all scripts of a file
_FILLED = "%{"  # where Nickel inserts a value


def line_finder(source: Optional[SourceText]) -> Callable[[str], int]:
    """Return a function from a script to its first line in a file; 0 if unknown.

    Line n of such a script is line n - 1 further down in the file. A script that stands
    there twice, or with its lines escaped as in JSON, has none; nor has any without a
    file.
    """
    find: Optional[Callable[[str], int]] = None
    left = _MOST

    @lru_cache(maxsize=None)
    def line_of(script: str) -> int:
        nonlocal find, left
        if source is None or left < len(source.text):
            return 0
        left -= len(source.text)
        find = find or _line_finder(source.text)
        return find(script)

    return line_of


def _line_finder(source: str) -> Callable[[str], int]:
    lines = [line.strip() for line in source.split("\n")]
    numbers: Dict[str, List[int]] = {}
    for number, line in enumerate(lines):
        numbers.setdefault(line, []).append(number)

    def single(text: str) -> int:
        spelled = {
            text,
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
        }
        found = {place for each in spelled for place in _places(source, each)}
        return source.count("\n", 0, found.pop()) + 1 if len(found) == 1 else 0

    def fits(start: int, own: List[str]) -> bool:
        if start < 0 or start + len(own) > len(lines):
            return False
        return all(
            there == line
            or _FILLED in there
            or (there.endswith(line) and _quoted(there[: -len(line)][::-1]))
            or (there.startswith(line) and _quoted(there[len(line) :]))
            for line, there in zip(own, lines[start : start + len(own)])
        )

    def find(text: str) -> int:
        own = [line.strip() for line in text.rstrip().split("\n")]
        if len(own) == 1:
            return single(text.strip())
        starts = {
            place - number
            for number, line in enumerate(own)
            if len(line) > 1
            for place in numbers.get(line, ())
        }
        starts.update(source.count("\n", 0, at) for at in _places(source, own[0]))
        good = [start for start in starts if fits(start, own)]
        return good[0] + 1 if len(good) == 1 else 0

    return find


def _quoted(rest: str) -> bool:
    """Whether the text after a line of a script ends a string."""
    return rest.lstrip()[:1] in ('"', "'")


def _places(source: str, text: str) -> List[int]:
    """The first two places of a text in another."""
    first = source.find(text)
    second = source.find(text, first + 1) if first >= 0 else -1
    return [place for place in (first, second) if place >= 0]
