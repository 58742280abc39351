"""Formats and parses times."""

from __future__ import annotations

import re
from typing import Any, Optional


def format_iso(at: Optional[float]) -> Optional[str]:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    if at is None:
        return None
    from datetime import datetime, timezone

    try:
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None  # outside of the calendar
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_KNOWN = (
    "is not a time: use an age such as 2h or 3d, 14:03, 2026-11-01, 2026-11-01T03:00,"
    " 2026-11-01T03:00:00Z, today or yesterday"
)


def format_local(at: float) -> str:
    """Seconds since the epoch as local date and time."""
    from time import localtime, strftime

    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(at))
    except (ValueError, OverflowError, OSError):
        return "?"


def time_of_day(at: float) -> str:
    """Seconds since the epoch as local time of day, HH:MM:SS."""
    from time import localtime, strftime

    return strftime("%H:%M:%S", localtime(at))


def parse_time(text: str, now: float, *, end: bool = False) -> float:
    """Return the time that a user means, as seconds since the epoch.

    An age (2h, 3d, 1h30m) is before `now`; a time without a zone is local, a time
    without a date today, a date without a time its first moment. With `end` a time
    means the end of its second. Raises ValueError with a message for users.
    """
    words = text.strip().lower()
    age = _age(words)
    if age is not None:
        return now - age
    try:
        at = _on_the_clock(words, now)
        if at is None:
            at = _in_the_calendar(text.strip(), now)
    except (ValueError, OverflowError):
        message = f"{text!r} {_KNOWN}"
        raise ValueError(message) from None
    return at + (0.999999 if end and at == int(at) else 0.0)


def _age(words: str) -> Optional[float]:

    if words == "now":
        return 0.0
    length = words[1:] if words.startswith("-") else words
    if length.endswith(" ago"):
        length = length[: -len(" ago")].rstrip()
    try:
        # A number without a unit is ambiguous.
        return None if not length else parse_duration(length)
    except ValueError:
        return None


def _on_the_clock(words: str, now: float) -> Optional[float]:
    """Parse a time of today; None if it is not one."""
    import re
    from datetime import datetime

    clock = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", words)
    if clock is None:
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups())
    today = datetime.fromtimestamp(now)  # noqa: DTZ006  # what people mean by 14:03
    return today.replace(
        hour=hour, minute=minute, second=second, microsecond=0
    ).timestamp()


def _in_the_calendar(text: str, now: float) -> float:
    from datetime import datetime, timedelta

    today = datetime.fromtimestamp(now).replace(  # noqa: DTZ006  # the day where we are
        hour=0, minute=0, second=0, microsecond=0
    )
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    found = days.get(text.lower())
    if found is None:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found.timestamp()


MAX_SECONDS = 366 * 86_400.0

_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_DURATION = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit, _ in _UNITS))


def parse_duration(value: Any) -> float:
    """Return the seconds of a text such as "1h30m", or of a number of seconds.

    Raises ValueError with a message for users for anything else and for more than 366
    days.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        total = value
    else:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if isinstance(value, str) and re.fullmatch(_NUMBER, value):
            message = f"needs a unit, such as {value}s or {value}m"
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
