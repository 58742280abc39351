"""Suggestions for mistyped words."""

from __future__ import annotations

from typing import Iterable, Optional

# Comparing is expensive: of a large table only so many are compared.
_MAX_COMPARED = 2_000
_MAX_LENGTH = 200  # characters of the word


def closest_match(
    word: str, known: Iterable[str], *, cutoff: float = 0.6
) -> Optional[str]:
    """Return the known word that is most similar to `word`, None if none is.

    `cutoff` is the required similarity from 0 to 1.
    """
    from difflib import get_close_matches

    # Names with the same beginning come first, so a large table is not compared whole.
    compared = sorted(known, key=lambda other: other[:1] != word[:1])[:_MAX_COMPARED]
    close = get_close_matches(word[:_MAX_LENGTH], compared, n=1, cutoff=cutoff)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint: the nearest known word as a question, else `otherwise`."""
    near = closest_match(word, known)
    return f"did you mean {near}?" if near else otherwise
