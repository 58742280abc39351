"""The nouns of the library on the command line: found, listed, completed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Container, Dict, List, Optional, Tuple

import click

from provctl.base.text import plain
from provctl.cli.completion.param_types import filter_completions
from provctl.cli.options.global_options import add_global_options, unknown_verb
from provctl.cli.session import session_of
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from provctl.nushell.library.index import LibraryIndex


_TITLE = "Commands of the library"


def find_noun(ctx: click.Context, name: str, args: List[str]) -> Optional[click.Group]:
    """Return the commands of a noun; None without a library or without this noun.

    `args` are all words; a `--config` among them may name the library. Raises
    InvalidConfig.
    """
    session = session_of(ctx)
    index = session.library
    if index is None or not index.has(name):
        elsewhere = _config_among(args)
        if elsewhere is None:
            return None
        ctx.obj = replace(session, config_file=elsewhere)
        index = ctx.obj.library
    return _Noun(name, index) if index is not None and index.has(name) else None


def known_nouns(ctx: click.Context) -> Dict[str, List[str]]:
    """Return the verbs of each noun. Raises ProvctlError if they cannot be read."""
    index = session_of(ctx).library
    return {} if index is None else index.nouns()


def write_nouns(
    ctx: click.Context, formatter: click.HelpFormatter, taken: Container[str]
) -> None:
    """Add the nouns and their verbs to a help text, or why they cannot be read.

    Nouns in `taken` cannot be used, because other commands have these names.
    """
    try:
        nouns = known_nouns(ctx)
    except ProvctlError as problem:
        with formatter.section(_TITLE):
            formatter.write_text(
                plain(f"not available: {_first_line(problem.message)}")
            )
        return
    if not nouns:
        return
    rows = [(n, ", ".join(verbs)) for n, verbs in nouns.items() if n not in taken]
    hidden = [noun for noun in nouns if noun in taken]
    with formatter.section(_TITLE):
        if rows:
            formatter.write_dl(rows)
        if hidden:
            formatter.write_text(
                "not available, because a command of provctl has the same name:"
                f" {', '.join(hidden)}"
            )


class _Noun(click.Group):
    """A noun of the library with its verbs."""

    def __init__(self, name: str, index: LibraryIndex) -> None:
        super().__init__(name, help=f"Commands of the library for {name}.")
        self._index = index
        add_global_options(self)

    def list_commands(self, ctx: click.Context) -> List[str]:
        return sorted(verb.name for verb in self._index.verbs(str(self.name)))

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> List[CompletionItem]:
        return [
            *filter_completions(self._abouts(), incomplete),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        from provctl.cli.library_commands.verb import verb_command

        verb = self._index.find(str(self.name), cmd_name)
        if verb is None:
            return None
        command = verb_command(verb)
        add_global_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> tuple[Optional[str], Optional[click.Command], List[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            ctx.fail(unknown_verb(args[0], self.list_commands(ctx)))
        return args[0], command, args[1:]

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        rows = [(name, plain(about)) for name, about in self._abouts()]
        with formatter.section("Commands"):
            if rows:
                formatter.write_dl(rows)
            else:
                formatter.write_text(
                    f"none: no module exports a command for {self.name}"
                )

    def _abouts(self) -> List[Tuple[str, str]]:
        """The verbs by name, each with the first line of its description."""
        return sorted(
            (
                verb.name,
                _first_line(
                    verb.signature.description if verb.signature else verb.problem
                ),
            )
            for verb in self._index.verbs(str(self.name))
        )


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _config_among(args: List[str]) -> Optional[str]:
    """Return the value of a `--config` among words, None if there is none."""
    for word, following in zip(args, [*args[1:], None]):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == "--config":
            return value if equals else following
    return None
