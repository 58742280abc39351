"""`provctl help`: the help of any command, by its words, and the topics."""

from __future__ import annotations

from typing import Tuple

import click

from provctl.cli.completion.param_types import COMMAND
from provctl.cli.options.global_options import unknown_verb


@click.command("help")
@click.argument("words", metavar="[COMMAND]...|[TOPIC]", nargs=-1, type=COMMAND)
@click.pass_context
def show_help(ctx: click.Context, words: Tuple[str, ...]) -> None:
    """Show the help of a command, like COMMAND --help, or of a topic.

    Without arguments, list all commands and topics.
    """
    from provctl.cli.help_pages import page, topic, topics

    known = topics()
    place = ctx.find_root()
    place.obj = ctx.obj  # with the flags that stand behind the verb
    asked = words[0] if len(words) == 1 and words[0] in known else None
    for word in words:
        group = place.command
        if not isinstance(group, click.Group):
            place.fail(f"{place.command_path} has no subcommands")
        command = group.get_command(place, word)
        if command is None and asked:
            break
        if command is None:
            offers = [
                *group.list_commands(place),
                *(known if place.parent is None else ()),
            ]
            place.fail(unknown_verb(word, offers))
        place = click.Context(command, place, word, obj=ctx.obj)
    if asked is None or place.parent is not None:
        click.echo(page(place))
    if asked is not None:
        click.echo(("\n" if place.parent is not None else "") + topic(asked))
    if not words:
        formatter = ctx.make_formatter()
        with formatter.section("Topics"):
            formatter.write_dl(list(known.items()))
        click.echo(f"\n{formatter.getvalue().rstrip()}")
