"""Formats the errors of a workflow file as plain text for a terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Dict, Iterator, List, Sequence, Tuple

from provctl.base.cell_width import width_of
from provctl.base.text import plain
from provctl.errors import InvalidWorkflow

if TYPE_CHECKING:
    from provctl.errors import Diagnostic


MAX_WIDTH = 160
_LEAST = 20
_TAB = 4
_NAME = re.compile("`[^`]*`")
_NAMED = 3
_TOLD = 100
_WORDS = 1_000  # characters; a message contains names from the file


def render_mistakes(error: InvalidWorkflow, *, width: int = MAX_WIDTH) -> str:
    """Each error with its location, source line and hint, then their number.

    Lines of files are cut to `width` columns. Similar errors are shown once, with the
    names of the others.
    """
    count = len(error.mistakes) + error.others
    blocks = [
        "\n".join(_block(group, width)) for group in group_similar(error.mistakes)
    ]
    total = f"{count} error{'' if count == 1 else 's'} found"
    return "\n\n".join([*blocks, total])


def brief(error: InvalidWorkflow) -> InvalidWorkflow:
    """Return at most 100 of the mistakes, each with the part of its line around it.

    The others are counted. A short error stays unchanged.
    """
    shown = [
        replace(
            mistake,
            message=_shorten(mistake.message),
            source_line=_source(mistake),
            hint=_shorten(mistake.hint),
        )
        for mistake in error.mistakes[:_TOLD]
    ]
    return InvalidWorkflow(
        shown, others=error.others + len(error.mistakes) - len(shown)
    )


def _shorten(words: str) -> str:
    return words if len(words) <= _WORDS else f"{words[: _WORDS - 1]}…"


def _source(mistake: Diagnostic) -> str:
    line = mistake.source_line
    return line if len(line) <= MAX_WIDTH else _excerpt(mistake, MAX_WIDTH)[0]


def group_similar(mistakes: Sequence[Diagnostic]) -> List[List[Diagnostic]]:
    """Return mistakes in groups that differ only in a name.

    A mistake in generated tasks is one for each of them, at one location. Those without
    a location belong to the first similar ones that have one.
    """
    groups: Dict[Tuple[object, ...], List[Diagnostic]] = {}
    placed: Dict[Tuple[object, ...], List[Diagnostic]] = {}
    for mistake in mistakes:
        message = _NAME.sub("``", mistake.message, count=1)
        kind = (mistake.file, message, mistake.hint)
        if not mistake.line and kind in placed:
            placed[kind].append(mistake)
            continue
        group = groups.setdefault((*kind, mistake.line, mistake.column), [])
        group.append(mistake)
        if mistake.line:
            placed.setdefault(kind, group)
    return list(groups.values())


def remaining_count(group: Sequence[Diagnostic]) -> str:
    """Return the other names of a group of similar errors; empty if there are none."""
    found = (_NAME.search(mistake.message) for mistake in group[1:])
    names = [match.group() for match in found if match]
    if not names:
        return f"and {len(group) - 1} more like this" if len(group) > 1 else ""
    shown = ", ".join(names[:_NAMED])
    more = len(group) - 1 - len(names[:_NAMED])
    return f"same for {shown}" + (f" and {more} more" if more else "")


def _block(group: Sequence[Diagnostic], width: int) -> Iterator[str]:
    mistake = group[0]
    place = f":{mistake.line}:{mistake.column}" if mistake.line else ""
    yield f"{plain(mistake.file)}{place}: {plain(mistake.message)}"
    if mistake.source_line:
        gutter = len(str(mistake.line))
        room = max(width - gutter - len(" | "), _LEAST)
        text, marks = _excerpt(mistake, room)
        yield f"{mistake.line} | {text}"
        yield f"{' ' * gutter} | {marks}"
    if mistake.hint:
        yield f"help: {plain(mistake.hint)}"
    if len(group) > 1:
        yield plain(remaining_count(group))


def _excerpt(mistake: Diagnostic, room: int) -> Tuple[str, str]:
    """The line and the marks under it; for a long line the part around them."""
    line = mistake.source_line
    start = min(mistake.column - 1, len(line))
    first = max(0, start - room - 1)
    letters = _letters(line[first : start + room + 1])
    widths = [width_of(letter) for letter in letters]
    left, right = _window(widths, start - first, room)
    before = "…" if first + left > 0 else ""
    after = "…" if first + right < len(line) else ""
    marked = sum(widths[start - first : min(start - first + mistake.span, right)])
    lead = len(before) + sum(widths[left : start - first])
    text = "".join(letters[left:right])
    return before + text + after, " " * lead + "^" * max(1, marked)


def _letters(text: str) -> List[str]:
    """The text for each character; for a tab the spaces of its width."""
    letters: List[str] = []
    column = 0
    for char in text:
        letters.append(" " * (_TAB - column % _TAB) if char == "\t" else plain(char))
        column += width_of(letters[-1])
    return letters


def _window(widths: Sequence[int], start: int, room: int) -> Tuple[int, int]:
    """The part around a position, as much to the left as to the right if possible."""
    if sum(widths) <= room:
        return 0, len(widths)
    room -= len("……")
    left = right = start
    grows = True
    while grows:
        grows = False
        if right < len(widths) and widths[right] <= room:
            room -= widths[right]
            right, grows = right + 1, True
        if left > 0 and widths[left - 1] <= room:
            left, grows = left - 1, True
            room -= widths[left]
    return left, right
