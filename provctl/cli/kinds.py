"""Owns kinds of values on the command line: moments, lengths of time, labels."""

from __future__ import annotations

from typing import Any, Tuple

import click

__all__ = ["CONDITIONS", "DURATION", "LABEL", "MOMENT"]


class _Moment(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """A time, as seconds since the epoch; what it is, `cli.times.moment` says."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        import time

        from provctl.cli.times import moment

        if isinstance(value, float):
            return value
        try:
            return moment(value, time.time())  # noqa: TID251  # ages are from now
        except ValueError as problem:
            return self.fail(str(problem), param, ctx)


class _Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A length of time in seconds: 90s, 5m, 1h30m, 2d, or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        from provctl.spec.durations import seconds

        try:
            number = float(value)
        except ValueError:
            number = value
        try:
            return seconds(number)
        except ValueError as problem:
            return self.fail(str(problem), param, ctx)


class _Label(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A key and a value."""

    name = "key=value"

    def convert(self, value: Any, param: Any, ctx: Any) -> Tuple[str, str]:
        from provctl.core.labels import label

        if isinstance(value, tuple):
            return value
        try:
            return label(value)
        except ValueError as problem:
            return self.fail(str(problem), param, ctx)


class _Conditions(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """What labels have to be: a tuple of `core.labels.Condition`."""

    name = "label"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from provctl.core.labels import conditions

        if isinstance(value, tuple):
            return value
        try:
            return conditions(value)
        except ValueError as problem:
            return self.fail(str(problem), param, ctx)


MOMENT = _Moment()
DURATION = _Duration()
LABEL = _Label()
CONDITIONS = _Conditions()
