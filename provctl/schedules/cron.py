"""The times of a cron expression, also across changes of the clock.

Each local time occurs once. A time skipped in spring occurs right after the gap; if
several are skipped, they occur there together. A time repeated in autumn occurs the
first time only. The exception is an expression for all 24 hours: it occurs both times.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import TYPE_CHECKING, Deque, Iterator, List

from cronsim import CronSim, CronSimError

from provctl.base.self_command import pip_install
from provctl.errors import UsageError

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo
else:
    from backports.zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo


_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, or L for the last",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7, or SUN to SAT; MON#2 is the second of a month",
}
_EXAMPLE = (
    'minute, hour, day of month, month, day of week: "0 3 * * *" is every day at 3:00, '
    '"*/15 8-18 * * MON-FRI" every 15 minutes during working hours; or @hourly, @daily, ...'
)
_FIRST_SPAN_S = 3600.0
_TWICE_MAX = timedelta(hours=3)  # maximum by which a clock is set back
_LONGEST = 1000  # characters; an expression that lists every minute has 170


def check(expression: str, zone: str, now: float) -> None:
    """Raise UsageError, naming the field, for an invalid expression or zone."""
    start = datetime.fromtimestamp(now, tz=_zone(zone)).replace(tzinfo=None)
    fields = _spelled_out(expression).split()
    if len(fields) != len(_FIELDS):
        message = f"cron {expression!r}: it has {len(fields)} fields instead of five"
        raise UsageError(message, hint=_EXAMPLE)
    if next(_moments(expression, start), None) is None:
        message = f"cron {expression!r}: this date never occurs"
        raise UsageError(message, hint=_EXAMPLE)


def _moments(expression: str, start: datetime) -> CronSim:
    """Return the local times without a zone at the times after `start`."""
    spelled = _spelled_out(expression)
    if len(expression) > _LONGEST:
        message = f"cron: an expression can have at most {_LONGEST} characters"
        raise UsageError(message, hint=_EXAMPLE)
    try:
        return CronSim(spelled, start)
    except CronSimError as problem:
        raise _wrong(expression, spelled.split(), str(problem)) from None


def _wrong(expression: str, fields: List[str], problem: str) -> UsageError:
    name = problem.rpartition(" ")[2]
    about = f"cron {expression!r}"
    if name in _FIELDS:
        part = fields[list(_FIELDS).index(name)]
        about += f": {part!r} is not a valid {name.replace('-', ' ')} ({_FIELDS[name]})"
    return UsageError(about, hint=_EXAMPLE)


def times_after(expression: str, zone: str, after: float) -> Iterator[float]:
    """Return the times after `after`, in order.

    Raises UsageError for an expression or zone that this version does not support.
    """
    tz = _zone(zone)
    shown = datetime.fromtimestamp(after, tz=tz).replace(tzinfo=None)
    latest_at = after
    for at in _instants(_moments(expression, shown - _TWICE_MAX), tz):
        if at > latest_at:
            latest_at = at
            yield at


def _instants(moments: CronSim, tz: tzinfo) -> Iterator[float]:
    """Return the times at which the clock shows `moments`, in order, maybe twice."""
    is_hourly = moments.hours == set(range(24))
    repeated: Deque[float] = deque()
    for shown in moments:
        moment = shown.replace(tzinfo=tz)
        while _is_left_out(moment):
            moment += _MINUTE
        at = moment.timestamp()
        while repeated and repeated[0] <= at:
            yield repeated.popleft()
        yield at
        again = moment.replace(fold=1).timestamp()
        if is_hourly and again > at:
            repeated.append(again)


def _is_left_out(moment: datetime) -> bool:
    """Whether the clock never shows a local time, because it is set forward over it."""
    there = moment.astimezone(timezone.utc).astimezone(moment.tzinfo)
    return there.replace(tzinfo=None) != moment.replace(tzinfo=None)


_MINUTE = timedelta(minutes=1)


def latest(
    expression: str, zone: str, *, after: float, now: float, most: int
) -> List[float]:
    """Return the times after `after` up to `now`; of very many, the last `most`.

    The cost does not grow with the length of that period.
    """
    span = _FIRST_SPAN_S
    while True:
        start = max(after, now - span)
        found: Deque[float] = deque(maxlen=most)
        found.extend(takewhile(now.__ge__, times_after(expression, zone, start)))
        if start == after or len(found) == most:
            return list(found)
        span *= 8


def local_zone(now: float) -> str:
    """Return the name of this machine's time zone. Raises UsageError if it has none."""
    import time

    import tzlocal

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            name = tzlocal.get_localzone_name()
        except (KeyError, ValueError, OSError):
            name = None
    # Without better information the lookup guesses; TZ may hold rules without a name.
    if not name or not _is_as_here(name, now, time.localtime(now).tm_gmtoff):
        message = "the time zone of this machine cannot be determined"
        raise UsageError(
            message, hint="specify a time zone, such as Europe/Madrid or UTC"
        )
    return name


def _is_as_here(zone: str, now: float, offset_s: int) -> bool:
    offset = datetime.fromtimestamp(now, tz=_zone(zone)).utcoffset()
    return offset is not None and offset.total_seconds() == offset_s


def _spelled_out(expression: str) -> str:
    return _ALIASES.get(expression.strip().lower(), expression)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        message = f"time zone {name!r} not found"
        hint = (
            "use a name such as Europe/Madrid, America/New_York or UTC; if the system"
            " has no time zones, install its package tzdata, or"
            f" {pip_install('tzdata')}"
        )
        raise UsageError(message, hint=hint) from None
