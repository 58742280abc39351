"""Owns how moments are written: ISO 8601 for programs, local time for people."""

from __future__ import annotations

from typing import Optional

__all__ = ["iso", "local"]


def iso(at: Optional[float]) -> Optional[str]:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    if at is None:
        return None
    from datetime import datetime, timezone

    try:
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None  # no calendar has it
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(at: float) -> str:
    """Seconds since the epoch as date and time where we are."""
    from time import localtime, strftime

    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(at))
    except (ValueError, OverflowError, OSError):
        return "?"
