"""Owns how moments are written for programs: ISO 8601."""

from __future__ import annotations

from typing import Optional

__all__ = ["iso"]


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
