"""Owns what verbs have in common on the command line: global flags, run arguments."""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import click
from click.shell_completion import CompletionItem

from provctl.cli.context import OUTPUTS, VIEWS, Session, plain
from provctl.errors import UsageProblem

__all__ = [
    "FILE_OR_RUN",
    "RUN",
    "Verbs",
    "add_global_options",
    "reports",
    "session_of",
    "shows_runs",
    "unknown_verb",
]


def session_of(ctx: click.Context) -> Session:
    """Return the session so far; a first one when there is none yet."""
    if not isinstance(ctx.obj, Session):
        ctx.obj = Session(environ=dict(os.environ))
    return ctx.obj


def add_global_options(command: click.Command) -> None:
    """Let a command, and all below it, take the global flags too.

    A command may stand in several places of the tree, and gets them once. What a
    command has of its own by the same word stays its own.
    """
    known = {param.name for param in command.params}
    taken = {word for param in command.params for word in param.opts}
    group = isinstance(command, click.Group)
    for option in _global_options((*OUTPUTS, *VIEWS) if group else OUTPUTS):
        option.opts = [word for word in option.opts if word not in taken]
        if option.opts and option.name not in known:
            command.params.append(option)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_global_options(child)


def shows_runs(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Let a verb that shows runs at work be told how, beside the format of its data."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice((*VIEWS, *OUTPUTS)),
        expose_value=False,
        callback=_set_output,
        help="How runs are shown, or the format of what goes to stdout.",
    )(verb)


def reports(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options for files about runs when they have ended."""
    for option in (
        click.option("--summary", metavar="FILE", help="Write a summary, as Markdown."),
        click.option(
            "--junit", metavar="FILE", help="Write JUnit's XML, a case a task."
        ),
    ):
        verb = option(verb)
    return verb


def _global_options(outputs: Sequence[str]) -> List[click.Option]:
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Choice(outputs),
            expose_value=False,
            callback=_set_output,
            help="Format of what goes to stdout.",
        ),
        click.Option(
            ["--state-dir"],
            metavar="DIR",
            expose_value=False,
            callback=_set_flag("storage.data_dir"),
            help="Where runs are kept.",
        ),
        click.Option(
            ["--config"],
            metavar="FILE",
            expose_value=False,
            callback=_set_config,
            help="Configuration file to use in place of the user's.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_be_quiet,
            help="On stderr errors only; of a run only how it ended.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_be_verbose,
            help="Say what is done on stderr; -vv says more.",
        ),
        click.Option(
            ["-h", "--help"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_help,
            help="Show this help and exit.",
        ),
    ]


def _be_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    session = session_of(ctx)
    if not value or session.quiet:
        return
    _refuse_both(ctx, quiet=True, verbose=session.verbosity > 0)
    ctx.obj = replace(session, quiet=True)
    # Whoever talks, talks to stderr. Errors are told at the door, when this is over.
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    ctx.with_resource(nowhere)
    ctx.with_resource(redirect_stderr(nowhere))


def _be_verbose(ctx: click.Context, _: click.Parameter, value: int) -> None:
    session = session_of(ctx)
    if not value:
        return
    _refuse_both(ctx, quiet=session.quiet, verbose=True)
    ctx.obj = louder = replace(session, verbosity=session.verbosity + value)
    if not session.verbosity:
        began = time.perf_counter()
        ctx.call_on_close(
            lambda: louder.say(f"took {time.perf_counter() - began:.3f}s")
        )
    if session.verbosity < 2 <= louder.verbosity:
        import platform

        from provctl import __version__

        python = f"Python {platform.python_version()}"
        louder.say(f"provctl {__version__}, {python}, {platform.platform()}", 2)


def _refuse_both(ctx: click.Context, *, quiet: bool, verbose: bool) -> None:
    if quiet and verbose:
        ctx.fail("--quiet and --verbose exclude each other")


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from provctl.cli.manual import page

        click.echo(page(ctx))
        ctx.exit()


def _set_output(ctx: click.Context, _: click.Parameter, value: Optional[str]) -> None:
    session = session_of(ctx)
    if value in VIEWS:
        stream = sys.stdout if session.output == "table" else sys.stderr
        if value == "live" and not stream.isatty():
            message = "-o live: there is no terminal to draw on"
            raise UsageProblem(message, hint="-o plain prints a line for each change")
        ctx.obj = replace(session, shown=value)
    elif value is not None:
        ctx.obj = replace(session, output=value)


def _set_config(ctx: click.Context, _: click.Parameter, value: Optional[str]) -> None:
    session = session_of(ctx)
    if value is not None:
        ctx.obj = replace(session, config_file=value)


def _set_flag(key: str) -> Any:
    def put(ctx: click.Context, _: click.Parameter, value: Optional[str]) -> None:
        session = session_of(ctx)
        if value is not None:
            flags: Dict[str, object] = {**session.flags, key: value}
            ctx.obj = replace(session, flags=flags)

    return put


class _Run(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """An id of a run or a batch, the start of one, or @last; completed from disk."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> List[CompletionItem]:
        from provctl.errors import ProvctlError
        from provctl.journal.summary import summaries

        try:
            every = summaries(session_of(ctx).folder)
        except ProvctlError:
            return []
        newest_first = reversed(every)
        return [
            CompletionItem(run.id, help=f"{run.name} {run.outcome or run.status}")
            for run in newest_first
            if run.id.startswith(incomplete)
        ]


class _FileOrRun(_Run):
    """A file, or a run."""

    name = "file or run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> List[CompletionItem]:
        runs = super().shell_complete(ctx, param, incomplete)
        return [*runs, CompletionItem(incomplete, type="file")]


RUN = _Run()
FILE_OR_RUN = _FileOrRun()


def unknown_verb(word: str, verbs: List[str]) -> str:
    """Return what to say of a word that is none of `verbs`."""
    from provctl.near import nearest

    near = nearest(word, verbs)
    guess = f" (did you mean {near}?)" if near else ""
    return f"no such command: {plain(word)}{guess}"


class Verbs(click.Group):
    """A group of commands that guesses what a mistyped one was meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        """Find the command, or fail with a guess."""
        if args and not ctx.resilient_parsing and args[0] not in self.commands:
            ctx.fail(unknown_verb(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)
