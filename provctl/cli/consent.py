"""Owns asking first: at a terminal, before what is not easily taken back is done."""

from __future__ import annotations

import sys

import click

__all__ = ["DECLINED", "agreed"]

DECLINED = 130  # exit code, as of Ctrl-C instead of an answer


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to go on: with `yes`, where nobody can be asked, or as is answered.

    Asks on stderr, also where it is quiet.
    """
    if yes or not sys.stdin.isatty():
        return True
    from contextlib import redirect_stderr

    with redirect_stderr(sys.__stderr__):
        answer = click.confirm(question, err=True)
    if not answer:
        click.echo("nothing was done", err=True)
    return answer
