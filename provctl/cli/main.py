"""Start and end of the program: the tree of commands, each imported when needed."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Tuple,
)

import click

from provctl import __version__
from provctl.base.self_command import program_name
from provctl.base.stdio import Output, open_missing, text_stream
from provctl.cli.completion.param_types import filter_completions
from provctl.cli.error_handler import run_with_error_handling
from provctl.cli.invocation import CommandLine
from provctl.cli.options.global_options import add_global_options, unknown_verb
from provctl.cli.session import Session, session_of
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _Verb(NamedTuple):
    """Where a command is defined, and its line in the list of commands."""

    module: str
    name: str
    help: str


# The title of each section of a list of commands, with its commands by name.
_Sections = Mapping[str, Mapping[str, _Verb]]


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are needed.

    `aliases` are other names of commands of the group.
    """

    def __init__(
        self,
        name: str,
        help: str,
        sections: _Sections,
        aliases: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(name, help=help)
        self._sections = sections
        self._aliases = aliases
        self.verbs: Dict[str, _Verb] = {}
        for verbs in sections.values():
            self.verbs.update(verbs)
        for alias, verb in aliases.items():
            about = f"Alias of {verb}."
            self.verbs[alias] = self.verbs[verb]._replace(help=about)

    def list_commands(self, ctx: click.Context) -> List[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        module = import_module(f"provctl.cli.{verb.module}")
        command: click.Command = getattr(module, verb.name)
        add_global_options(command)
        self.commands[cmd_name] = command
        return command

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> List[CompletionItem]:
        return [
            *filter_completions(self.abouts(ctx), incomplete),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def abouts(self, ctx: click.Context) -> List[Tuple[str, str]]:
        """Return the names of its commands, each with its line of help."""
        return [(name, verb.help) for name, verb in self.verbs.items()]

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> tuple[Optional[str], Optional[click.Command], List[str]]:
        if args and args[0] not in self.verbs:
            if ctx.resilient_parsing:  # nothing follows a word that is no command
                return args[0], click.Command(args[0]), []
            ctx.fail(unknown_verb(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        names = {
            verb: ", ".join(
                [verb, *(a for a, of in self._aliases.items() if of == verb)]
            )
            for verbs in self._sections.values()
            for verb in verbs
        }
        width = max(map(len, names.values()))  # of all sections, to align them
        for title, verbs in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (names[name].ljust(width), verb.help)
                        for name, verb in verbs.items()
                    ]
                )


class _RootGroup(_LazyGroup):
    """All commands of provctl, and the nouns of the library.

    Of two with the same name, provctl's own command is used.
    """

    def list_commands(self, ctx: click.Context) -> List[str]:
        return [name for name, _ in self.abouts(ctx)]

    def abouts(self, ctx: click.Context) -> List[Tuple[str, str]]:
        return [*super().abouts(ctx), *self._nouns(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        command = super().get_command(ctx, cmd_name)
        return self._noun(ctx, cmd_name, []) if command is None else command

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> tuple[Optional[str], Optional[click.Command], List[str]]:
        if args and args[0] not in self.verbs:
            noun = self._noun(ctx, args[0], args)
            if noun is not None:
                return args[0], noun, args[1:]
            if not ctx.resilient_parsing:
                self._refuse_noun(ctx, args)
        return super().resolve_command(ctx, args)

    def _refuse_noun(self, ctx: click.Context, args: List[str]) -> None:
        """Fail; if the words look like NOUN VERB, say where such commands come from."""
        message = unknown_verb(args[0], self.list_commands(ctx))
        verb = args[1] if len(args) > 1 else "-"
        if not verb.startswith("-") and session_of(ctx).library is None:
            message += "; to use commands of a library, set nushell.provisioning_lib"
        ctx.fail(message)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        from provctl.cli.library_commands.nouns import write_nouns

        super().format_commands(ctx, formatter)
        write_nouns(ctx, formatter, self.verbs)

    def long_form(self, word: str) -> str:
        """Return the words of a command in full: for `ps`, "workflow list"."""
        verb = self._aliases.get(word, word)
        return f"workflow {verb}" if verb in workflow.verbs else word

    def _noun(
        self, ctx: click.Context, name: str, args: List[str]
    ) -> Optional[click.Command]:
        from provctl.cli.library_commands.nouns import find_noun

        return find_noun(ctx, name, args)

    def _nouns(self, ctx: click.Context) -> List[Tuple[str, str]]:
        from provctl.cli.library_commands.nouns import known_nouns

        with suppress(ProvctlError):
            return [
                (noun, ", ".join(verbs))
                for noun, verbs in known_nouns(ctx).items()
                if noun not in self.verbs
            ]
        return []


# Commands that are not in the module of their name, or have another name.
_ELSEWHERE = {
    "list": ("commands.list", "list_runs"),
    "pin": ("commands.prune", "pin"),
    "unpin": ("commands.prune", "unpin"),
    "rm": ("commands.prune", "remove"),
    "batch": ("batch", "batch"),
    "doctor": ("doctor.command", "doctor"),
    "workflow": ("main", "workflow"),
    "completion": ("completion.scripts", "completion"),
    "help": ("commands.help", "show_help"),
    "version": ("main", "version"),
}


def _verbs(**helps: str) -> Dict[str, _Verb]:
    return {
        name: _Verb(*_ELSEWHERE.get(name, (f"commands.{name}", name)), text)
        for name, text in helps.items()
    }


# Every command on runs: below `workflow`, and without that word.
_ON_RUNS = {
    "Run workflows": _verbs(
        run="Run a workflow file in the foreground.",
        submit="Submit a workflow file to the background scheduler.",
        validate="Check workflow files without running them.",
        plan="Show which tasks would run, in which order.",
        apply="Run a saved plan in the foreground.",
        simulate="Estimate how long a workflow would take, and why.",
        graph="Draw the tasks of a workflow file or a run.",
    ),
    "Inspect runs": _verbs(
        list="List runs.",
        status="Show a run and its tasks.",
        monitor="Watch runs until they finish.",
        attach="Watch a run in the background.",
        detach="Move a run in the foreground to the background.",
        wait="Wait for runs to finish and exit with their exit code.",
        logs="Show the logs of tasks.",
        outputs="Show the values that tasks returned.",
        explain="Explain why a run or task is waiting, failed or was skipped.",
        report="Write reports of a run: HTML, JUnit, Markdown.",
        show="Show a run as it was at an earlier time.",
        replay="Play a run back from its journal.",
        diff="Compare two runs.",
    ),
    "Change runs": _verbs(
        cancel="Cancel runs.",
        pause="Pause runs: start no new tasks.",
        resume="Resume a paused, on-hold or orphaned run.",
        retry="Retry failed and unfinished tasks.",
        rollback="Undo the tasks of a run.",
        pin="Protect runs from prune and rm.",
        unpin="End the protection of pinned runs.",
        rm="Remove finished runs.",
    ),
}
_ALIASES = {"ps": "list", "watch": "monitor"}

_SECTIONS = {
    **_ON_RUNS,
    "Batches and schedules": _verbs(
        batch="Submit several runs together.",
        schedule="Run workflows at certain times.",
    ),
    "Scheduler": _verbs(
        scheduler="Manage the background scheduler.",
        node="Show and drain the machines that run tasks.",
    ),
    "Maintenance": _verbs(
        stats="Show success rates and durations of workflows.",
        prune="Remove old runs.",
        journal="Verify, read and repair journals.",
        doctor="Check that provctl has all that it needs.",
        bundle="Create an archive for a bug report.",
        config="Show and check the configuration.",
    ),
    "Other commands": _verbs(
        workflow="Prefix of the commands on runs: workflow list = list.",
        template="Render Jinja2 templates.",
        env="Show the environment of library commands.",
        completion="Print a shell completion script.",
        help="Show the help of a command or a topic.",
        version="Print the version.",
    ),
}

workflow = _LazyGroup(
    "workflow",
    """Run workflows, and inspect and change their runs.

    These commands also work without the word workflow: provctl list.
    """,
    _ON_RUNS,
)

cli = _RootGroup(
    "provctl",
    """Run infrastructure workflows written in Nickel and Nushell.

    Run workflows in the foreground, or submit them to the background scheduler.
    Run 'provctl COMMAND --help' for examples and 'provctl help' for topics.
    """,
    _SECTIONS,
    _ALIASES,
)
cli.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, _param, asked: _print_version(ctx) if asked else None,
        help="Print the version and exit.",
    )
)
add_global_options(cli)


def _print_version(ctx: click.Context) -> None:
    if not ctx.resilient_parsing:
        click.echo(f"provctl {__version__}")
        ctx.exit()


@click.command()
@click.pass_obj
def version(session: Session) -> None:
    """Print the version."""
    from provctl.cli.session import emit

    if session.output == "table":
        click.echo(f"provctl {__version__}")
    else:
        emit(session, [{"version": __version__}], ("version",), name="version")


def main() -> NoReturn:
    """Run `provctl` and end the process with its exit code.

    If a shell asks for completions, print these instead.
    """
    shell = os.environ.get("_PROVCTL_COMPLETE")
    called = CommandLine(ABOUT_RUNS, program_name())
    if shell is None:
        _end_with(partial(_run, cli, called.name, called), called)
    _end_with(partial(_answer, shell), called)


def orchestrator() -> NoReturn:
    """Run `provisioning-orchestrator` and end the process with its exit code."""
    from provctl.cli.provisioning_orchestrator import orchestrator as command

    called = CommandLine(ABOUT_RUNS)
    name = "provisioning-orchestrator"
    _end_with(partial(_run, command, name, called), called)


# The excluded ones print the same with any state directory and configuration.
ABOUT_RUNS = frozenset(cli.verbs) - {"completion", "help", "template", "version"}


def _end_with(command: Callable[[], int], called: CommandLine) -> NoReturn:
    open_missing()
    # Imports make many objects and no garbage: the usual 700 costs 30 ms a start,
    # and 50,000 still 20 ms.
    gc.set_threshold(200_000)
    # A command without its results has failed; without messages it has not.
    output = Output(1)
    sys.stdout = text_stream(output, sys.stdout)
    sys.stderr = text_stream(Output(2, drops=True), sys.stderr)
    code = run_with_error_handling(partial(_run_and_flush, command, output), called)
    # Deleting all modules costs 80 ms if pydantic is loaded, for nothing.
    os._exit(code)


def _run_and_flush(command: Callable[[], int], output: Output) -> int:
    """Return the exit code of a command. Raises OSError if output was lost.

    A reader that closed the pipe early is no error.
    """
    code = command()
    try:
        sys.stdout.flush()
    except OSError:
        if code == 0:
            raise
    lost = output.problem
    if code == 0 and lost is not None and lost.errno not in (errno.EPIPE, errno.EIO):
        raise lost
    return code


def _run(command: click.Command, name: str, called: CommandLine) -> int:
    session = Session(environ=dict(os.environ), called=called)
    try:
        # Not `command.main`: it hides that the output pipe is closed.
        with command.make_context(name, sys.argv[1:], obj=session) as ctx:
            command.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0


def _answer(shell: str) -> int:
    from provctl.cli.completion.respond import answer

    sys.stdout.write(answer(cli, shell))
    return 0
