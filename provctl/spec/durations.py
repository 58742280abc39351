"""Owns how a length of time is written: "90s", "5m", "1h30m", "250ms", "2d"."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MAX_SECONDS", "seconds"]

MAX_SECONDS = 366 * 86_400.0

_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_DURATION = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit, _ in _UNITS))


def seconds(value: Any) -> float:
    """The length in seconds of a text such as "1h30m", or of a number of seconds.

    Raises ValueError, with words for people, for anything else and for more
    than 366 days.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        total = value
    else:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if isinstance(value, str) and re.fullmatch(_NUMBER, value):
            message = f"must say its unit, such as {value}s or {value}m"
            raise ValueError(message)
        if not value or match is None:
            message = (
                "must be a duration such as 90s, 5m, 1h30m, 250ms or 2d,"
                " or a number of seconds"
            )
            raise ValueError(message)
        total = sum(
            float(count) * unit
            for count, (_, unit) in zip(match.groups(), _UNITS)
            if count is not None
        )
    if not 0 <= total <= MAX_SECONDS:
        message = "must be a duration from 0 to 366d"
        raise ValueError(message)
    return float(total)
