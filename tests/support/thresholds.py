"""The amounts of fault tests: small by default, larger if set by hand.

FAULT_KILLS=2000 bash tests/run tests/fault -k case_18
"""

from __future__ import annotations

import os
from typing import Sequence, Tuple, TypeVar

__all__ = ["bar", "evenly"]

_Any = TypeVar("_Any")


def bar(name: str, short: int) -> int:
    """Return how many repetitions to make."""
    return int(os.environ.get(name) or short)


def evenly(every: Sequence[_Any], most: int) -> Tuple[_Any, ...]:
    """Return at most so many items, from the first to the last in even steps."""
    if most >= len(every):
        return tuple(every)
    step = len(every) / most
    return tuple(every[int(number * step)] for number in range(most))
