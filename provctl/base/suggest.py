"""What a mistyped word may have meant."""

from __future__ import annotations

from typing import Iterable, Optional

# Comparing costs: of a large table only so many are looked at.
_MAX_COMPARED = 2_000
_MAX_LENGTH = 200  # characters of the word


def closest_match(
    word: str, known: Iterable[str], *, cutoff: float = 0.6
) -> Optional[str]:
    """Return the known word that `word` most likely meant, None if none is near.

    `cutoff` is how alike they have to be, from 0 to 1.
    """
    from difflib import get_close_matches

    # Names that begin alike come first, so that a large table is not compared whole.
    compared = sorted(known, key=lambda other: other[:1] != word[:1])[:_MAX_COMPARED]
    close = get_close_matches(word[:_MAX_LENGTH], compared, n=1, cutoff=cutoff)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint: the nearest known word as a question, else `otherwise`."""
    near = closest_match(word, known)
    return f"did you mean {near}?" if near else otherwise
