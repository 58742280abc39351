"""Owns `provctl help`: the help of any command, by its words."""

from __future__ import annotations

from typing import Tuple

import click

from provctl.cli.options import COMMAND, unknown_verb

__all__ = ["show_help"]


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1, type=COMMAND)
@click.pass_context
def show_help(ctx: click.Context, words: Tuple[str, ...]) -> None:
    """Show the help of a command, as COMMAND --help does."""
    place = ctx.find_root()
    place.obj = ctx.obj  # with the flags that stand behind the verb
    for word in words:
        group = place.command
        if not isinstance(group, click.Group):
            place.fail(f"{place.command_path} has no commands of its own")
        command = group.get_command(place, word)
        if command is None:
            place.fail(unknown_verb(word, group.list_commands(place)))
        place = click.Context(command, place, word, obj=ctx.obj)
    click.echo(place.get_help())
