"""Progress of tasks from their logs: lines that contain `PROGRESS:`.

    PROGRESS: 40                                     percent
    PROGRESS: 40% pulling images                     percent and what it does
    PROGRESS: 40 pulling images
    PROGRESS: 3/7 pulling images                     a part of a whole
    PROGRESS: pulling images                         only what it does
    PROGRESS: {"percent": 40, "message": "pulling images"}
    12:00:01 | INF | PROGRESS: 40% pulling images    anywhere else: only with a number

Percent is 0 to 100, never a fraction of one: 0.5 is half a percent.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any, Match, Optional, Union

from provctl.base.safe_open import reader
from provctl.core.engine.view import Progress

MAX_LINE = 4096  # characters; a longer line is no progress line
_MAX_MESSAGE = 200  # characters
_MAX_NEW_BYTES = 64 * 1024  # bytes per read; only the newest line counts

_PREFIX = "PROGRESS:"
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_REPORT = re.compile(
    rf"(?P<part>-?{_NUMBER})(?:\s*/\s*(?P<whole>{_NUMBER})|\s*%)?(?:\s+(?P<text>.*))?",
    re.ASCII | re.DOTALL,
)
_WITHIN = re.compile(
    rf"(?<!\w){_PREFIX}\s*(?P<part>-?{_NUMBER})"
    rf"(?:\s*/\s*(?P<whole>{_NUMBER})|\s*%)?(?!\w|\.\d)(?P<text>.*)",
    re.ASCII | re.DOTALL,
)
_AROUND = " \t\r.,;:|\"'()[]{}"  # belongs to the line, not to the message
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
# C0 and C1 controls, and the marks that reorder text on a terminal.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def parse_progress(line: str) -> Optional[Progress]:
    """Return the progress in `line`, None if it has none. Never raises."""
    if _PREFIX not in line or len(line) > MAX_LINE:
        return None
    if not line.startswith(_PREFIX):
        report = _WITHIN.search(_COLOUR.sub("", line))
        return report and _progress_of_count(report, report["text"].strip(_AROUND))
    text = line[len(_PREFIX) :].strip()
    if text.startswith("{"):
        return _from_json(text)
    report = _REPORT.fullmatch(text)
    if report is None:
        return Progress(None, _clean(text)) if text else None
    return _progress_of_count(report, report["text"] or "")


def is_progress(line: str) -> bool:
    """Whether `line` only reports progress."""
    return line.startswith(_PREFIX) and parse_progress(line) is not None


def _progress_of_count(report: Match[str], text: str) -> Progress:
    part, text = float(report["part"]), _clean(text)
    if report["whole"] is None:
        return Progress(_clamp(part), text)
    whole = float(report["whole"])
    percent = 100 * part / whole if whole else None
    return Progress(_clamp(percent), text, part, whole)


class ProgressReader:
    """Follows the progress lines of one log file, reading only what is new."""

    def __init__(self, path: Union[str, Path]) -> None:
        self._path = Path(path)
        self._offset = 0  # always the start of a line

    def read(self) -> Optional[Progress]:
        """Return the newest progress since the last call, None if there is none.

        A line counts once it is complete. A file that is missing or cannot be read has
        nothing new; one that became shorter is read again.
        """
        try:
            with reader(self._path) as log:
                end = log.seek(0, os.SEEK_END)
                if end < self._offset:
                    self._offset = 0
                start = max(self._offset, end - _MAX_NEW_BYTES)
                log.seek(start)
                new = log.read(end - start)
        except OSError:
            return None
        *lines, half = new.split(b"\n")
        if start > self._offset:
            del lines[:1]  # it begins in the middle of a line
        if lines:
            self._offset = start + len(new) - len(half)
        reports = (
            parse_progress(line.decode(errors="replace")) for line in lines[::-1]
        )
        return next(filter(None, reports), None)


def _from_json(text: str) -> Optional[Progress]:
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):
        return None
    message = report.get("message")
    progress = Progress(
        _clamp(report.get("percent")),
        _clean(message) if isinstance(message, str) else "",
    )
    return None if progress == Progress() else progress


def _clamp(percent: Any) -> Optional[float]:
    if isinstance(percent, bool) or not isinstance(percent, (int, float)):
        return None
    inside = float(min(max(percent, 0), 100))
    return None if math.isnan(inside) else inside


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text).strip()[:_MAX_MESSAGE]
