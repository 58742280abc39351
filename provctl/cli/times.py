"""Owns how times are written: ISO 8601 for programs, local time for people, slack."""

from __future__ import annotations

from provctl.api.times import iso

__all__ = ["iso", "local", "slack_of"]

_SLACK_S = 0.1  # below which there is none


def local(at: float) -> str:
    """Seconds since the epoch as date and time where we are."""
    from time import localtime, strftime

    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(at))
    except (ValueError, OverflowError, OSError):
        return "?"


def slack_of(seconds: float) -> str:
    """Say how much later something could end without harm; "" if it could not."""
    from provctl.ui.lines import duration

    return f"{duration(seconds)} slack" if seconds >= _SLACK_S else ""
