"""Owns kinds of values on the command line: moments, lengths of time, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Tuple

import click

if TYPE_CHECKING:
    from provctl.core.labels import Condition

__all__ = ["CONDITIONS", "DURATION", "LABEL", "MOMENT"]


class _Kind(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """A text that is read by `read`; its ValueErrors are told."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value  # it has been read
        try:
            return self._read(value)
        except ValueError as problem:
            return self.fail(str(problem), param, ctx)


def _moment(text: str) -> float:
    import time

    from provctl.cli.times import moment

    return moment(text, time.time())  # noqa: TID251  # ages are from now


def _duration(text: str) -> float:
    from provctl.spec.durations import seconds

    try:
        number = float(text)
    except ValueError:
        return seconds(text)
    return seconds(number)


def _label(text: str) -> Tuple[str, str]:
    from provctl.core.labels import label

    return label(text)


def _conditions(text: str) -> Tuple[Condition, ...]:
    from provctl.core.labels import conditions

    return conditions(text)


# Seconds since the epoch, of a time or an age; seconds; key and value; what labels are.
MOMENT = _Kind("time", _moment)
DURATION = _Kind("duration", _duration)
LABEL = _Kind("key=value", _label)
CONDITIONS = _Kind("label", _conditions)
