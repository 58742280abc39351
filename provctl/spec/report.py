"""Owns showing the mistakes of a workflow file as plain text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, Tuple

if TYPE_CHECKING:
    from provctl.errors import Mistake, WorkflowInvalid

__all__ = ["render_mistakes"]

MAX_WIDTH = 160


def render_mistakes(error: WorkflowInvalid) -> str:
    """Every mistake with its place, its line and what to do, then their number."""
    count = len(error.mistakes)
    blocks = ["\n".join(_block(mistake)) for mistake in error.mistakes]
    total = f"{count} mistake{'' if count == 1 else 's'} found"
    return "\n\n".join([*blocks, total])


def _block(mistake: Mistake) -> Iterator[str]:
    place = f":{mistake.line}:{mistake.column}" if mistake.line else ""
    yield f"{_printable(mistake.file)}{place}: {_printable(mistake.message)}"
    if mistake.source_line:
        gutter = len(str(mistake.line))
        text, marks = _excerpt(mistake)
        yield f"{mistake.line} | {text}"
        yield f"{' ' * gutter} | {marks}"
    if mistake.hint:
        yield f"help: {_printable(mistake.hint)}"


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
