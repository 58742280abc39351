"""Owns showing the mistakes of a workflow file as plain text for a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Dict, Iterator, List, Sequence, Tuple

if TYPE_CHECKING:
    from provctl.errors import Mistake, WorkflowInvalid

__all__ = ["alike", "render_mistakes", "the_others"]

MAX_WIDTH = 160
_NAME = re.compile("`[^`]*`")
_NAMED = 3


def render_mistakes(error: WorkflowInvalid) -> str:
    """Every mistake with its place, its line and what to do, then their number.

    Those that are alike are shown once, with the names of the others.
    """
    count = len(error.mistakes)
    blocks = ["\n".join(_block(group)) for group in alike(error.mistakes)]
    total = f"{count} mistake{'' if count == 1 else 's'} found"
    return "\n\n".join([*blocks, total])


def alike(mistakes: Sequence[Mistake]) -> List[List[Mistake]]:
    """Return mistakes in groups of those that tell the same of different names.

    A slip where tasks are generated is one of each of them, at one place. Those
    without a place belong to the first that are alike and have one.
    """
    groups: Dict[Tuple[object, ...], List[Mistake]] = {}
    placed: Dict[Tuple[object, ...], List[Mistake]] = {}
    for mistake in mistakes:
        told = _NAME.sub("``", mistake.message, count=1)
        kind = (mistake.file, told, mistake.hint)
        if not mistake.line and kind in placed:
            placed[kind].append(mistake)
            continue
        group = groups.setdefault((*kind, mistake.line, mistake.column), [])
        group.append(mistake)
        if mistake.line:
            placed.setdefault(kind, group)
    return list(groups.values())


def the_others(group: Sequence[Mistake]) -> str:
    """Return of whom a group tells the same as of its first; empty for nobody."""
    found = (_NAME.search(mistake.message) for mistake in group[1:])
    names = [match.group() for match in found if match]
    if not names:
        return f"and {len(group) - 1} times more" if len(group) > 1 else ""
    told = ", ".join(names[:_NAMED])
    more = len(group) - 1 - len(names[:_NAMED])
    return f"the same of {told}" + (f" and {more} more" if more else "")


def _block(group: Sequence[Mistake]) -> Iterator[str]:
    mistake = group[0]
    place = f":{mistake.line}:{mistake.column}" if mistake.line else ""
    yield f"{_printable(mistake.file)}{place}: {_printable(mistake.message)}"
    if mistake.source_line:
        gutter = len(str(mistake.line))
        text, marks = _excerpt(mistake)
        yield f"{mistake.line} | {text}"
        yield f"{' ' * gutter} | {marks}"
    if mistake.hint:
        yield f"help: {_printable(mistake.hint)}"
    if len(group) > 1:
        yield _printable(the_others(group))


def _excerpt(mistake: Mistake) -> Tuple[str, str]:
    """The line and the marks under it; of a long line the part around them."""
    start = mistake.column - 1
    shift = max(0, start - MAX_WIDTH // 2)
    text = mistake.source_line[shift : shift + MAX_WIDTH]
    span = max(1, min(mistake.span, len(text) - (start - shift)))
    # Tabs stay, so that the marks stand below what they mean.
    lead = "".join(c if c == "\t" else " " for c in text[: start - shift])
    return _printable(text), lead + "^" * span


def _printable(text: str) -> str:
    """Text that cannot steer the terminal."""
    return "".join(
        c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
