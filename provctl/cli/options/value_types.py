"""Types of values on the command line: times, durations, labels.

Labels are completed with those of the newest runs, also in new submissions, because
users often use the same labels again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Tuple

from provctl.cli.completion.param_types import CompletableType, labels_known
from provctl.cli.session import plural

if TYPE_CHECKING:
    import click

    from provctl.cli.completion.param_types import Offer, Offers
    from provctl.core.model.labels import Condition


class _Kind(CompletableType):
    """A value that `read` parses; its ValueErrors become usage errors."""

    def __init__(
        self, name: str, read: Callable[[str], Any], offers: Optional[Offers] = None
    ) -> None:
        super().__init__(name, offers)
        self._read = read

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value  # it has already been read
        try:
            return self._read(value)
        except ValueError as problem:
            return self.fail(str(problem), param, ctx)


def _moment(text: str) -> float:
    import time

    from provctl.base.timefmt import parse_time

    return parse_time(text, time.time())  # noqa: TID251  # ages are from now


def _past(text: str) -> float:
    import time

    from provctl.base.timefmt import format_local, parse_time

    now = time.time()  # noqa: TID251  # ages are from now
    at = parse_time(text, now)
    if at > now:
        message = f"{text!r} is {format_local(at)}, which is in the future"
        raise ValueError(message)
    return at


def _duration(text: str) -> float:
    from provctl.base.timefmt import parse_duration

    try:
        number = float(text)
    except ValueError:
        return parse_duration(text)
    return parse_duration(number)


def _age(text: str) -> float:
    from provctl.base.timefmt import parse_duration

    return parse_duration(text)


def _label(text: str) -> Tuple[str, str]:
    from provctl.core.model.labels import label

    return label(text)


def _conditions(text: str) -> Tuple[Condition, ...]:
    from provctl.core.model.labels import conditions

    return conditions(text)


def _labels(ctx: click.Context, incomplete: str) -> Iterator[Offer]:
    """Keys with a `=`, followed by their values."""
    typed, equals, _ = incomplete.partition("=")
    for key, values in labels_known(ctx).items():
        if not equals:
            yield f"{key}=", ", ".join(filter(None, values))[:_SHOWN]
        elif key == typed:
            for value, count in values.most_common():
                yield f"{key}={value}", f"of {plural(count, 'run')}"


_SHOWN = 60
_COMPARED = re.compile(r"([^=!]+)(!=|==?)")


def _asked_labels(ctx: click.Context, incomplete: str) -> Iterator[Offer]:
    """The same for a condition, the last one in a list with commas."""
    before, comma, last = incomplete.rpartition(",")
    if last.startswith("!"):
        for key in labels_known(ctx):
            yield f"{before}{comma}!{key}", ""
        return
    compared = _COMPARED.match(last)
    start = f"{compared[1]}=" if compared else last
    for offer, about in _labels(ctx, start):
        if compared:
            offer = compared[0] + offer[len(start) :]  # as it was typed
        yield f"{before}{comma}{offer}", about


# Seconds since the epoch for a time or an age, and for a past one; seconds, and with
# their unit; key and value; label conditions.
MOMENT = _Kind("time", _moment)
PAST = _Kind("time", _past)
DURATION = _Kind("duration", _duration)
AGE = _Kind("age", _age)
LABEL = _Kind("key=value", _label, _labels)
CONDITIONS = _Kind("label", _conditions, _asked_labels)
