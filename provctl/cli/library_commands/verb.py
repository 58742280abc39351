"""A verb of the library on the command line: its help, its types, its modes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NoReturn, Optional, Tuple

import click
from click.shell_completion import CompletionItem

from provctl.base.text import plain
from provctl.cli.options.value_types import LABEL
from provctl.cli.session import Session, by_key, print_message, session_of
from provctl.errors import ProvctlError
from provctl.nushell.types import item_type, parse, validate
from provctl.runs.library.as_workflow import (
    metavar,
    single_task_workflow,
    typed_values,
    value_error,
)

if TYPE_CHECKING:
    from provctl.nushell.invocation import CallArguments
    from provctl.nushell.library.index import LibraryCommand
    from provctl.nushell.library.signatures import Parameter, Signature


_OURS = ("orchestrated", "direct")  # flags that a library cannot redefine
_FILES = {"path": "file", "glob": "file", "directory": "dir"}


def verb_command(verb: LibraryCommand) -> click.Command:
    """Return the command for a verb with a signature."""
    return _VerbCommand(verb)


class _VerbCommand(click.Command):
    """A command of the library. All arguments are checked before anything runs."""

    def __init__(self, verb: LibraryCommand) -> None:
        assert verb.signature is not None, verb
        self._verb = verb
        self._signature = signature = verb.signature
        self._words = [*signature.positionals]
        if signature.rest is not None:
            self._words.append(signature.rest)
        self._flags = [flag for flag in signature.flags if flag.name not in _OURS]
        params: List[click.Parameter] = [
            *(_argument(n, each, self) for n, each in enumerate(self._words)),
            *(_option(n, each, self) for n, each in enumerate(self._flags)),
        ]
        super().__init__(verb.name, help=_help(signature), params=params)
        self._takes_infra = all(flag.name != "infra" for flag in self._flags)
        taken = {opt for param in params for opt in param.opts}
        for option in _mode_options():
            option.opts = [opt for opt in option.opts if opt not in taken]
            if option.opts:
                self.params.append(option)

    def invoke(self, ctx: click.Context) -> None:
        from provctl.nushell.library.compatibility import check_library
        from provctl.runs.library.mode import DIRECT, ORCHESTRATED, choose_mode

        session: Session = ctx.obj
        given = self._call_arguments(ctx)
        asked = [mode for mode in (ORCHESTRATED, DIRECT) if ctx.params.get(f"_{mode}")]
        if len(asked) > 1:
            ctx.fail("use only one of --orchestrated and --direct")
        verb, settings = self._verb, session.loaded.settings
        mode = choose_mode(settings, verb.noun, verb.name, next(iter(asked), None))
        check_library(Path(str(session.library_folder)))
        if mode == DIRECT:
            for name in ("key", "label", "priority", "wait"):
                if ctx.params.get(f"_{name}"):
                    ctx.fail(
                        f"--{name} requires --orchestrated, but this command runs"
                        " directly"
                    )
            _run_here(ctx, self._verb, given)
        self._submit(ctx, session, given)

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        rows = [(metavar(each), _about(each, with_type=True)) for each in self._words]
        if rows:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)
        examples = self._signature.examples
        if examples:
            with formatter.section("Examples, in Nushell"):
                formatter.write_dl(
                    [(plain(line), plain(what)) for what, line in examples]
                )

    def completions(
        self, ctx: click.Context, parameter: Parameter, incomplete: str
    ) -> List[CompletionItem]:
        """Return the completions for a value of a parameter."""
        if parameter.type in _FILES and not parameter.choices:
            return [CompletionItem(incomplete, type=_FILES[parameter.type])]
        offers = [(choice, "") for choice in parameter.choices]
        if parameter.type == "bool":
            offers = [("true", ""), ("false", "")]
        index = session_of(ctx).library
        if parameter.completer and index is not None:
            try:
                offers = list(index.complete(self._verb, parameter.completer))
            except ProvctlError:
                return []
        return [
            CompletionItem(value, help=about or None)
            for value, about in offers
            if value.startswith(incomplete)
        ]

    def _call_arguments(self, ctx: click.Context) -> CallArguments:
        """Return the typed values. Raises UsageError or click.UsageError."""
        return typed_values(
            self._signature, [*self._args(ctx)], dict(self._flag_values(ctx))
        )

    def _args(self, ctx: click.Context) -> Iterator[Any]:
        texts: List[str] = []
        infra = ctx.params.get("_infra")
        if infra is not None:
            texts.append(infra)
        for n, parameter in enumerate(self._words):
            text = ctx.params.get(f"word_{n}")
            if parameter.kind == "rest":
                texts += text or ()
            elif text is not None:
                texts.append(text)
        rest = self._signature.rest
        positionals = self._signature.positionals
        for n, text in enumerate(texts):
            if n >= len(positionals) and rest is None:
                ctx.fail(f"unexpected argument: {plain(text)}")
            yield _read(positionals[n] if n < len(positionals) else rest, text)  # type: ignore[arg-type]
        for missing in positionals[len(texts) :]:
            if missing.required:
                ctx.fail(f"missing argument {metavar(missing)} ({missing.type})")

    def _flag_values(self, ctx: click.Context) -> Iterator[Tuple[str, Any]]:
        for n, parameter in enumerate(self._flags):
            typed = ctx.params.get(f"flag_{n}")
            if parameter.kind == "switch":
                if typed:
                    yield parameter.name, True
            elif item_type(parameter.type) is not None:
                if typed:
                    yield parameter.name, _read_list(parameter, typed)
            elif typed is not None:
                yield parameter.name, _read(parameter, typed)

    def _submit(
        self, ctx: click.Context, session: Session, given: CallArguments
    ) -> None:
        from provctl.cli.submission import print_submitted, submit_runs
        from provctl.cli.watching.watch_runs import watch_runs
        from provctl.runs.submit import SubmitOptions
        from provctl.runs.task_environment import task_environment

        key = ctx.params.get("_key")
        settings = session.loaded.settings
        if key is None and settings.orchestrator.fallback_to_direct:
            self._fall_back(ctx, given)
        workflow = single_task_workflow(
            self._verb,
            given,
            library=str(session.library_folder),
            cwd=str(Path.cwd()),
            environment=task_environment(
                session.environ, settings.executor.env_passthrough
            ),
        )
        priority = ctx.params.get("_priority") or 0
        labels = dict(ctx.params.get("_label") or ())
        wishes = SubmitOptions(priority=priority, key=key, labels=labels)
        (account,) = submit_runs(session, [workflow], wishes)
        print_submitted(session, account)
        if ctx.params.get("_wait"):
            ctx.exit(watch_runs(session, (account.id,), None, None))

    def _fall_back(self, ctx: click.Context, given: CallArguments) -> None:
        """Run in the foreground without a scheduler, before anything is on disk."""
        from provctl.errors import SchedulerUnreachable

        session: Session = ctx.obj
        try:
            session.owner_client.ensure_scheduler()
        except SchedulerUnreachable as problem:
            print_message(f"no scheduler, running in the foreground: {problem.message}")
            _run_here(ctx, self._verb, given)


def _run_here(
    ctx: click.Context, verb: LibraryCommand, given: CallArguments
) -> NoReturn:
    from provctl.nushell.invocation import NushellConfig
    from provctl.runs.library.exec_direct import run_directly

    session: Session = ctx.obj
    settings = session.loaded.settings
    environ = {**session.environ, **settings.nushell.env_vars}
    endpoint = session.endpoint if verb.imports.endpoint else None
    if endpoint is not None:
        # It may call the scheduler, so it gets the address and the token.
        environ["PROVCTL_STATE_DIR"] = str(session.folder.path)
        environ["PROVCTL_ENDPOINT"] = endpoint
    setting = NushellConfig(
        nu=session.nu,
        library=str(session.library_folder),
        plugins=settings.nushell.plugins,
    )
    code = run_directly(
        verb, given, setting=setting, environ=environ, output=session.output
    )
    ctx.exit(code)


def _read(parameter: Parameter, text: str) -> Any:
    try:
        return parse(parameter.type, text)
    except (ValueError, RecursionError):
        raise value_error(parameter, text) from None


def _read_list(parameter: Parameter, texts: Tuple[str, ...]) -> Any:
    """Return a list: given in JSON, or one item for each use of the flag."""
    import json

    item = item_type(parameter.type) or "any"
    try:
        if len(texts) == 1 and texts[0].lstrip().startswith("["):
            return validate(parameter.type, json.loads(texts[0]))
        return [parse(item, text) for text in texts]
    except (ValueError, RecursionError):
        raise value_error(parameter, " ".join(texts)) from None


class _Text(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """A text that is read as a parameter's type; completed as the library says."""

    def __init__(self, parameter: Parameter, command: _VerbCommand) -> None:
        self.name = parameter.type
        self._parameter, self._command = parameter, command

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> List[CompletionItem]:
        return self._command.completions(ctx, self._parameter, incomplete)


def _argument(
    number: int, parameter: Parameter, command: _VerbCommand
) -> click.Argument:
    name = metavar(parameter)
    if parameter.kind == "rest":
        name = f"[{name}]..."
    return click.Argument(
        [f"word_{number}"],
        type=_Text(parameter, command),
        nargs=-1 if parameter.kind == "rest" else 1,
        required=False,  # --infra may give it; we report it if it is missing
        metavar=name if parameter.required or name[0] == "[" else f"[{name}]",
    )


def _option(number: int, parameter: Parameter, command: _VerbCommand) -> click.Option:
    words = [f"flag_{number}", f"--{parameter.name}"]
    if parameter.short:
        words.append(f"-{parameter.short}")
    if parameter.kind == "switch":
        return click.Option(words, is_flag=True, help=_about(parameter))
    return click.Option(
        words,
        type=_Text(parameter, command),
        multiple=item_type(parameter.type) is not None,
        metavar=parameter.type.upper(),
        help=_about(parameter),
    )


def _mode_options() -> List[click.Option]:
    return [
        click.Option(
            ["_orchestrated", "--orchestrated"],
            is_flag=True,
            help="Submit it to the scheduler and print the id of the run.",
        ),
        click.Option(
            ["_direct", "--direct"],
            is_flag=True,
            help="Run it directly, without a run.",
        ),
        click.Option(
            ["_infra", "--infra"],
            metavar="NAME",
            help="The first argument, under the name that other tools use for it.",
        ),
        click.Option(
            ["_wait", "--wait", "-w"],
            is_flag=True,
            help="Orchestrated: wait until the run finishes.",
        ),
        click.Option(
            ["_key", "--key"],
            metavar="TEXT",
            help="Orchestrated: idempotency key; the same key returns the existing run.",
        ),
        click.Option(
            ["_priority", "--priority", "-P"],
            type=click.IntRange(-1000, 1000),
            help="Orchestrated: run priority; higher starts first.",
        ),
        click.Option(
            ["_label", "--label", "-l"],
            type=LABEL,
            metavar="KEY=VALUE",
            multiple=True,
            callback=lambda _ctx, _param, given: tuple(by_key("-l", given).items()),
            help="Orchestrated: add a label to the run. Repeat for more.",
        ),
    ]


def _help(signature: Signature) -> str:
    """Return the text of a command's help; lines are kept as the library has them."""
    lines = [plain(line) for line in signature.details.splitlines()]
    details = "\n".join(lines)
    return plain(signature.description) + (f"\n\n\b\n{details}" if details else "")


def _about(parameter: Parameter, *, with_type: bool = False) -> str:
    notes: Dict[str, Optional[str]] = {
        "type": parameter.type if with_type else None,
        "default": parameter.default,
        "one of": ", ".join(parameter.choices) or None,
    }
    notes_text = "; ".join(f"{name}: {text}" for name, text in notes.items() if text)
    return plain(
        f"{parameter.description}{f'  [{notes_text}]' if notes_text else ''}".strip()
    )
