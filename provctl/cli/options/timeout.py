"""The option that limits how long a command waits."""

from __future__ import annotations

from typing import (
    Any,
    Callable,
)

import click

from provctl.cli.options.value_types import DURATION


def timeout_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that waits `--timeout`, in seconds."""
    return click.option(
        "--timeout",
        metavar="TIME",
        type=DURATION,
        help="Stop waiting after this time: 90s, 5m, or seconds.",
    )(verb)
