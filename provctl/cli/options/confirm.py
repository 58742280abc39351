"""Asks for confirmation before destructive actions."""

from __future__ import annotations

import sys
from typing import Any, Callable

import click

from provctl.base.text import plain
from provctl.cli.session import print_message
from provctl.errors import UsageError

DECLINED = 130  # exit code, as of Ctrl-C instead of an answer


def yes_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `-y` as `yes`, for `confirm`."""
    return click.option(
        "-y",
        "--yes",
        is_flag=True,
        help="Do not ask for confirmation. Without a terminal, destructive commands need it.",
    )(verb)


def confirm(question: str, *, yes: bool, destroys: bool = True) -> bool:
    """Return whether to continue: `yes`, or the answer at the terminal.

    The caller has shown the plan on stderr. The question appears there, also with
    --quiet. Without a terminal, destructive actions are refused (UsageError) and all
    others continue.
    """
    if yes:
        return True
    if not is_interactive():
        if destroys:
            message = "nothing was done: confirmation needs a terminal"
            raise UsageError(message, hint="to confirm without a terminal, add --yes")
        return True
    from contextlib import redirect_stderr

    with redirect_stderr(sys.__stderr__):
        answer = click.confirm(plain(question), err=True)
    if not answer:
        print_message("nothing was done")
    return answer


def is_interactive() -> bool:
    """Return whether a user at a terminal can answer."""
    streams = (sys.__stdin__, sys.__stderr__)
    return all(stream is not None and stream.isatty() for stream in streams)
