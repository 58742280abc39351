"""The program's start and end: the tree of verbs, each loaded when needed."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Callable,
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
    """Where a command is, and what the list of commands says of it."""

    module: str
    name: str
    help: str


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, name: str, help: str, verbs: Mapping[str, _Verb]) -> None:
        super().__init__(name, help=help)
        self.verbs = verbs

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
        """Return the names of its commands, and what is said of each."""
        return [(name, verb.help) for name, verb in self.verbs.items()]

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> tuple[Optional[str], Optional[click.Command], List[str]]:
        if args and args[0] not in self.verbs:
            if ctx.resilient_parsing:  # behind what is no command comes nothing
                return args[0], click.Command(args[0]), []
            ctx.fail(unknown_verb(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(_LazyGroup.abouts(self, ctx))


class _RootGroup(_LazyGroup):
    """The tree of verbs, and beside them the nouns of the library."""

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
            if args[0] in _WORKFLOW and not ctx.resilient_parsing:
                ctx.fail(
                    f"no such command: {args[0]} (did you mean workflow {args[0]}?)"
                )
            if not ctx.resilient_parsing:
                self._refuse_noun(ctx, args)
        return super().resolve_command(ctx, args)

    def _refuse_noun(self, ctx: click.Context, args: List[str]) -> None:
        """Of what reads as NOUN VERB say where such commands would come from."""
        told = unknown_verb(args[0], self.list_commands(ctx))
        verb = args[1] if len(args) > 1 else "-"
        if not verb.startswith("-") and session_of(ctx).library is None:
            told += (
                "; of a library there are more, once nushell.provisioning_lib is set"
            )
        ctx.fail(told)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        from provctl.cli.library_commands.nouns import write_nouns

        super().format_commands(ctx, formatter)
        write_nouns(ctx, formatter)

    def long_form(self, word: str) -> str:
        """Return the words that a shortcut is short for; of any other the word itself."""
        verb = self.verbs.get(word)
        for name, other in _WORKFLOW.items():
            if verb is not None and verb[:2] == other[:2]:
                return f"workflow {name}"
        return word

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


_RUN = _Verb("commands.submit", "run", "Run a workflow file here, and watch it.")
_SUBMIT = _Verb("commands.submit", "submit", "Hand a workflow file to the scheduler.")
_LIST = _Verb("commands.status", "list_runs", "List runs.")
_STATUS = _Verb("commands.status", "status", "Show a run and its tasks.")
_LOGS = _Verb("commands.logs", "logs", "Show what tasks wrote.")
_MONITOR = _Verb("commands.monitor", "monitor", "Watch runs until they end.")
_CANCEL = _Verb("commands.cancel", "cancel", "Cancel runs.")
_RETRY = _Verb("commands.retry", "retry", "Run tasks again that did not succeed.")
_WAIT = _Verb("commands.wait", "wait", "Wait until runs end; their exit code is yours.")
_EXPLAIN = _Verb(
    "commands.explain", "explain", "Say why a run or a task is where it is."
)
_GRAPH = _Verb("commands.graph", "graph", "Draw a workflow file or a run.")
_SIMULATE = _Verb(
    "commands.simulate", "simulate", "Say how long a run would take, and why."
)

_WORKFLOW = {
    "run": _RUN,
    "submit": _SUBMIT,
    "validate": _Verb(
        "commands.submit", "validate", "Check workflow files, run nothing."
    ),
    "plan": _Verb(
        "commands.submit", "plan", "Show what would run, and in which order."
    ),
    "simulate": _SIMULATE,
    "list": _LIST,
    "status": _STATUS,
    "monitor": _MONITOR,
    "attach": _Verb("commands.attach", "attach", "Show a run of the background again."),
    "detach": _Verb(
        "commands.attach", "detach", "Let a foreground run go on without you."
    ),
    "wait": _WAIT,
    "logs": _LOGS,
    "report": _Verb("commands.report", "report", "Write a report of a run, in HTML."),
    "show": _Verb("commands.show", "show", "Show a run as it was at a time."),
    "replay": _Verb("commands.show", "replay", "Watch a run again, from its journal."),
    "diff": _Verb("commands.show", "diff", "Show what differs between two runs."),
    "explain": _EXPLAIN,
    "graph": _GRAPH,
    "outputs": _Verb("commands.status", "outputs", "Show what tasks returned."),
    "cancel": _CANCEL,
    "retry": _RETRY,
    "pause": _Verb("commands.cancel", "pause", "Start no further task until resumed."),
    "resume": _Verb(
        "commands.cancel", "resume", "Go on: paused, held, or without an owner."
    ),
    "rollback": _Verb("commands.retry", "rollback", "Undo what a run made."),
    "pin": _Verb("commands.prune", "pin", "Keep runs from being pruned."),
    "unpin": _Verb("commands.prune", "unpin", "Let runs be pruned again."),
    "rm": _Verb("commands.prune", "remove", "Remove finished runs."),
}

_TREE = {
    "workflow": _Verb("main", "workflow", "Run, submit and watch workflows."),
    "batch": _Verb("commands.batch", "batch", "Several runs, submitted together."),
    "schedule": _Verb(
        "commands.schedule", "schedule", "Submit workflows at certain times."
    ),
    "scheduler": _Verb("commands.scheduler", "scheduler", "The background scheduler."),
    "journal": _Verb(
        "commands.journal", "journal", "Verify, read and repair journals."
    ),
    "template": _Verb(
        "commands.template", "template", "Make files of templates and values."
    ),
    "stats": _Verb(
        "commands.stats", "stats", "Show how often workflows succeed, how fast."
    ),
    "prune": _Verb("commands.prune", "prune", "Remove old runs."),
    "config": _Verb("commands.config", "config", "Show and check the configuration."),
    "env": _Verb(
        "commands.env", "env", "Show the environment of the library's commands."
    ),
    "doctor": _Verb(
        "doctor.command", "doctor", "Check this machine for what is needed."
    ),
    "completion": _Verb("completion.scripts", "completion", "Print shell completion."),
    "bundle": _Verb(
        "commands.bundle", "bundle", "Put what a bug report needs into a file."
    ),
    "help": _Verb(
        "commands.help", "show_help", "Show the help of a command, or on a topic."
    ),
    "version": _Verb("main", "version", "Print the version."),
    "run": _RUN._replace(help="Short for workflow run."),
    "submit": _SUBMIT._replace(help="Short for workflow submit."),
    "ps": _LIST._replace(help="Short for workflow list."),
    "status": _STATUS._replace(help="Short for workflow status."),
    "logs": _LOGS._replace(help="Short for workflow logs."),
    "watch": _MONITOR._replace(help="Short for workflow monitor."),
    "cancel": _CANCEL._replace(help="Short for workflow cancel."),
    "retry": _RETRY._replace(help="Short for workflow retry."),
    "graph": _GRAPH._replace(help="Short for workflow graph."),
    "simulate": _SIMULATE._replace(help="Short for workflow simulate."),
    "explain": _EXPLAIN._replace(help="Short for workflow explain."),
    "wait": _WAIT._replace(help="Short for workflow wait."),
}

workflow = _LazyGroup("workflow", "Run, submit and watch workflows.", _WORKFLOW)

cli = _RootGroup(
    "provctl",
    """Run infrastructure workflows written in Nickel and Nushell.

    Here, to watch, or in the background, to come back to. COMMAND --help has
    examples; help lists topics, such as workflow files, states and recovery.
    """,
    _TREE,
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

    Where a shell asks for completions, answer that instead.
    """
    shell = os.environ.get("_PROVCTL_COMPLETE")
    called = CommandLine(ABOUT_RUNS, program_name())
    if shell is None:
        _end_with(partial(_run, cli, called.name, called), called)
    _end_with(partial(_answer, shell), called)


def orchestrator() -> NoReturn:
    """Run `provisioning-orchestrator` and end the process with its exit code."""
    from provctl.cli.commands.provisioning_orchestrator import orchestrator as command

    called = CommandLine(ABOUT_RUNS)
    name = "provisioning-orchestrator"
    _end_with(partial(_run, command, name, called), called)


# The others say the same whichever runs and settings are meant.
ABOUT_RUNS = frozenset(_TREE) - {"completion", "help", "template", "version"}


def _end_with(command: Callable[[], int], called: CommandLine) -> NoReturn:
    open_missing()
    # Imports make many objects and no garbage: the usual 700 costs 30 ms a start.
    gc.set_threshold(50_000)
    # Without data a command has not done its work; without talk it has.
    output = Output(1)
    sys.stdout = text_stream(output, sys.stdout)
    sys.stderr = text_stream(Output(2, drops=True), sys.stderr)
    code = run_with_error_handling(partial(_run_and_flush, command, output), called)
    # To take the interpreter apart costs 80 ms when pydantic is in it, for nothing.
    os._exit(code)


def _run_and_flush(command: Callable[[], int], output: Output) -> int:
    """Return the exit code of a command. Raises OSError if it hides that output is lost.

    Whoever went before the end has seen enough.
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
        # Not by `command.main`: it hides that whoever reads the output has gone.
        with command.make_context(name, sys.argv[1:], obj=session) as ctx:
            command.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0


def _answer(shell: str) -> int:
    from provctl.cli.completion.respond import answer

    sys.stdout.write(answer(cli, shell, os.environ))
    return 0
