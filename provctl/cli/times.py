"""Owns how moments are written: ISO 8601 for programs, local time for people."""

from __future__ import annotations

from provctl.api.times import iso

__all__ = ["iso", "local"]


def local(at: float) -> str:
    """Seconds since the epoch as date and time where we are."""
    from time import localtime, strftime

    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(at))
    except (ValueError, OverflowError, OSError):
        return "?"
