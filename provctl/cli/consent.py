"""Owns asking first: at a terminal, before what is not easily taken back is done."""

from __future__ import annotations

import sys

import click

__all__ = ["DECLINED", "agreed", "asks"]

DECLINED = 130  # exit code, as of Ctrl-C instead of an answer


def asks(*, yes: bool) -> bool:
    """Whether `agreed` asks: there is somebody to ask, and no `yes` yet."""
    return not yes and sys.stdin.isatty()


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to go on: with `yes`, where nobody can be asked, or as is answered.

    Asks on stderr, also where it is quiet.
    """
    if not asks(yes=yes):
        return True
    from contextlib import redirect_stderr

    with redirect_stderr(sys.__stderr__):
        answer = click.confirm(question, err=True)
    if not answer:
        click.echo("nothing was done", err=True)
    return answer
