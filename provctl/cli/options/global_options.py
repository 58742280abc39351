"""Options that all commands have.

Completion of their values starts no scheduler, no Nickel and no Nushell. It checks
nothing; the command reports values that do not exist.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import click

from provctl.base.text import plain
from provctl.cli.completion.param_types import DIRECTORY, PLACE, TARGET
from provctl.cli.session import OUTPUTS, VIEWS, session_of
from provctl.errors import UsageError


def add_global_options(command: click.Command) -> None:
    """Add the global options to a command and all its subcommands.

    A command that is in several groups gets them once. A command's own option of the
    same name is kept.
    """
    known = {param.name for param in command.params}
    taken = {word for param in command.params for word in param.opts}
    for option in _global_options(group=isinstance(command, click.Group)):
        option.opts = [word for word in option.opts if word not in taken]
        if option.opts and option.name not in known:
            command.params.append(option)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_global_options(child)


def view_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add -o with views of active runs beside the formats of results."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice((*VIEWS, *OUTPUTS)),
        expose_value=False,
        callback=_set_output,
        help="How to show runs, or the format of the results.",
    )(verb)


def report_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for report files of finished runs."""
    for option in (
        click.option(
            "--summary",
            metavar="FILE",
            type=TARGET,
            help="Write a summary in Markdown.",
        ),
        click.option(
            "--junit",
            metavar="FILE",
            type=TARGET,
            help="Write JUnit XML, with one test case per task.",
        ),
    ):
        verb = option(verb)
    return verb


class _Format(click.Choice):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """A format of results. If it gets a file, it names the option for that."""

    def convert(
        self,
        value: Any,
        param: Optional[click.Parameter],
        ctx: Optional[click.Context],
    ) -> Any:
        """Return the format. Raises BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as problem:
            command = None if ctx is None else ctx.command
            for other in () if command is None else command.params:
                if _FILE in other.opts:
                    words = "/".join(other.opts)
                    message = f"{problem.message} To write to a file, use {words} FILE"
                    return self.fail(message, param, ctx)
            raise


_FILE = "-O"  # of every command that writes its result to a file


class _GlobalOption(click.Option):
    """An option of all commands. Only the help of the program itself describes it."""

    def get_help_record(self, ctx: click.Context) -> Optional[Tuple[str, str]]:
        """Return the entry for the list of options; None below the program itself."""
        return super().get_help_record(ctx) if ctx.parent is None else None


def _global_options(*, group: bool) -> List[_GlobalOption]:
    return [
        _GlobalOption(
            ["-o", "--output"],
            type=_Format((*OUTPUTS, *VIEWS) if group else OUTPUTS),
            metavar=f"[{'|'.join(OUTPUTS)}]",
            expose_value=False,
            callback=_set_output,
            help="Format of the results on stdout. Commands that watch runs also"
            " accept live, plain and group.",
        ),
        _GlobalOption(
            ["--state-dir"],
            metavar="DIR",
            type=DIRECTORY,
            expose_value=False,
            callback=_set_state_dir,
            help="State directory, where runs are stored.",
        ),
        _GlobalOption(
            ["--config"],
            metavar="FILE",
            type=PLACE,
            expose_value=False,
            callback=_set_config,
            help="Configuration file to use instead of the user file.",
        ),
        _GlobalOption(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_be_quiet,
            help="Print only errors and the final result.",
        ),
        _GlobalOption(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_be_verbose,
            help="Print progress details to stderr; repeat for more.",
        ),
        _GlobalOption(
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
    # All messages go to stderr. Errors are printed later, by the error handler.
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
            lambda: louder.log_verbose(
                f"finished in {time.perf_counter() - began:.3f}s"
            )
        )
    if session.verbosity < 2 <= louder.verbosity:
        import platform

        from provctl import __version__

        python = f"Python {platform.python_version()}"
        louder.log_verbose(f"provctl {__version__}, {python}, {platform.platform()}", 2)


def _refuse_both(ctx: click.Context, *, quiet: bool, verbose: bool) -> None:
    if quiet and verbose:
        ctx.fail("use only one of --quiet and --verbose")


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from provctl.cli.help_pages import page

        click.echo(page(ctx))
        ctx.exit()


def _set_output(
    ctx: click.Context, param: click.Parameter, value: Optional[str]
) -> None:
    session = session_of(ctx)
    shown = value if value in VIEWS else session.shown
    if shown and shown not in _formats(param) and not ctx.resilient_parsing:
        ctx.fail(
            f"-o {shown}: `{ctx.command_path}` does not watch runs; it has the formats"
            f" {', '.join(_formats(param))}"
        )
    if value in VIEWS:
        stream = sys.stdout if session.output == "table" else sys.stderr
        if value == "live" and not stream.isatty():
            message = "-o live: stdout is not a terminal"
            raise UsageError(
                message, hint="use -o plain, which prints a line for each change"
            )
        ctx.obj = replace(session, shown=value)
    elif value is not None:
        ctx.obj = replace(session, output=value)


def _formats(param: click.Parameter) -> Sequence[str]:
    assert isinstance(param.type, click.Choice)
    return param.type.choices


def _set_config(ctx: click.Context, _: click.Parameter, value: Optional[str]) -> None:
    session = session_of(ctx)
    if value is not None:
        ctx.obj = replace(session, config_file=value)
        session.called.add_flag("--config", str(Path(value).absolute()))


def _set_state_dir(
    ctx: click.Context, _: click.Parameter, value: Optional[str]
) -> None:
    session = session_of(ctx)
    if value is not None:
        flags: Dict[str, object] = {**session.flags, "storage.data_dir": value}
        ctx.obj = replace(session, flags=flags)
        path = Path(os.path.expanduser(value)).absolute()  # noqa: PTH111  # never raises
        session.called.add_flag("--state-dir", str(path))


def unknown_verb(word: str, verbs: List[str]) -> str:
    """Return the error for a word that is not one of `verbs`."""
    from provctl.base.suggest import closest_match

    near = closest_match(word, verbs)
    guess = f" (did you mean {near}?)" if near else ""
    return f"no such command: {plain(word)}{guess}"


class SuggestingGroup(click.Group):
    """A group of commands that suggests the nearest command for a mistyped one."""

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands with their first sentences; click would shorten them."""
        rows = [
            (name, self.commands[name].get_short_help_str(limit=1000))
            for name in self.list_commands(ctx)
            if not self.commands[name].hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        """Find the command, or fail with a suggestion."""
        if args and not ctx.resilient_parsing and args[0] not in self.commands:
            ctx.fail(unknown_verb(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)
