"""Owns telling whether a wish is a fact already, though nobody answered.

An owner that dies between its journal and its answer leaves who asked in doubt. To ask
the next one again could do it twice: a task that ran again, and ended, would run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provctl.core.requests import FACTS, Request
from provctl.journal.codec import NewerFormat, decode
from provctl.own_file import reader

if TYPE_CHECKING:
    from provctl.journal.folder import RunFolder

__all__ = ["end_of", "is_written"]


def end_of(run: RunFolder) -> int:
    """Where the journal ends, before something is asked for; 0 if there is none."""
    try:
        return run.journal.stat().st_size
    except OSError:
        return 0


def is_written(run: RunFolder, request: Request, start: int) -> bool:
    """Whether what was asked for is among what was written from `start` on.

    To be called when the owner that was asked is gone, so that it writes no more.
    """
    fact = FACTS[type(request)]
    with reader(run.journal) as file:
        file.seek(start)
        *lines, _torn = file.read().split(b"\n")
    for line in lines:
        try:
            event = decode(line, run.id).event
        except (ValueError, NewerFormat):
            return False  # damage: whoever takes the run says it
        if isinstance(event, fact) and _is_about(event, request):
            return True
    return False


def _is_about(event: object, request: Request) -> bool:
    return getattr(event, "task", "") == getattr(request, "task", "")
