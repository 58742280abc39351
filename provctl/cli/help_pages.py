"""Help: examples and exit codes of commands, and the topics of `provctl help`.

Both are text files beside this module, read when needed. A line `{name}` in a topic is
replaced by a generated table.
"""

from __future__ import annotations

import re
from dataclasses import field
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Tuple

import click

from provctl.base.light_dataclass import light_dataclass
from provctl.cli.exit_codes import EXIT_CODES
from provctl.cli.session import session_of

_PAGES = Path(__file__).with_name("pages")
_PROGRAM = "provctl"
_EXIT = "exit "  # before a code: what it means for this command
_COMMAND = re.compile(rf"\b{_PROGRAM} (?=[a-z])")


@light_dataclass
class HelpPage:
    """The additions to the help of one command.

    `examples` are command lines, each perhaps with a shell comment; `exits` are the
    exit codes that matter; `see` names other commands and topics. `arguments` and
    `meanings` describe arguments and exit codes that have another meaning for this
    command.
    """

    examples: Tuple[str, ...]
    exits: Tuple[int, ...] = ()
    see: Tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[int, str] = field(default_factory=dict)


def pages() -> Dict[str, HelpPage]:
    """Return the page of each command, by its words, such as "workflow run"."""
    found: Dict[str, HelpPage] = {}
    text = (_PAGES / "verbs.txt").read_text(encoding="utf-8")
    for block in text.split("\n["):
        head, _, body = block.lstrip("[").partition("]\n")
        lines = [line for line in body.splitlines() if line]
        notes = dict(
            line.split(": ", 1) for line in lines if not line.startswith(_PROGRAM)
        )
        found[head] = HelpPage(
            tuple(line for line in lines if line.startswith(_PROGRAM)),
            tuple(map(int, notes.get("exits", "").split())),
            tuple(filter(None, notes.get("see", "").split(", "))),
            {name: text for name, text in notes.items() if name.isupper()},
            {
                int(name[len(_EXIT) :]): text
                for name, text in notes.items()
                if name.startswith(_EXIT)
            },
        )
    return found


def examples() -> Iterator[str]:
    """Return every example of commands and topics."""
    for each in pages().values():
        yield from each.examples
    for name in topics():
        lines = topic(name).splitlines()
        yield from (each[2:] for each in lines if each.startswith(f"  {_PROGRAM} "))


def page(ctx: click.Context) -> str:
    """Return the whole help of a command: that of click, and its page."""
    text = ctx.get_help() + _global_options(ctx)
    found = pages().get(_words_of(ctx))
    if found is None:
        return text
    formatter = ctx.make_formatter()
    arguments = {**dict(_arguments(ctx.command)), **found.arguments}
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(list(arguments.items()))
    name = session_of(ctx).called.name
    with formatter.section("Examples"):
        for line in (_COMMAND.sub(f"{name} ", each) for each in found.examples):
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
    if found.exits:
        with formatter.section("Exit codes"):
            formatter.write_dl(
                [(str(c), found.meanings.get(c, EXIT_CODES[c])) for c in found.exits]
            )
    if found.see:
        see = ", ".join(f"{name} {words}" for words in found.see)
        with formatter.section("See also"):
            formatter.write_text(see)
    return f"{text}\n\n{formatter.getvalue().rstrip()}"


def _global_options(ctx: click.Context) -> str:
    """Return one line that names the global options; "" for the program itself."""
    if ctx.parent is None:
        return ""
    # They are not hidden, but the list of options has no line for them.
    named = [
        param.opts[0]
        for param in ctx.command.params
        if isinstance(param, click.Option)
        and param.name != "help"
        and not param.hidden
        and param.get_help_record(ctx) is None
    ]
    formatter = ctx.make_formatter()
    name = session_of(ctx).called.name
    formatter.write_text(f"Global options: {', '.join(named)} (see {name} --help)")
    return f"\n\n{formatter.getvalue().rstrip()}"


# The meaning of argument names; verbs.txt has those that differ for a command.
_ARGUMENTS = {
    "RUN": "an id, the start of an id, @last, @last~1, @last:NAME; where several runs"
    " are possible, also a batch; see provctl help selectors",
    "BATCH": "the id of a batch, the start of an id, or @last; the id of a run means"
    " that run",
    "TASK": "the name of a task; cluster/etcd for a task of a nested workflow",
    "FILE": "a workflow file (see provctl help workflow-file): .ncl, .k, .json or .toml",
    "PATH": "a part of the value that a task returned, such as net.0.ip",
    "WORKFLOW": "the name of a workflow",
    "TOPIC": "a topic that provctl help lists",
}


def _arguments(command: click.Command) -> Iterator[Tuple[str, str]]:
    """The arguments of a command, each with its description, if known."""
    for param in command.params:
        if isinstance(param, click.Argument):
            words = re.findall(r"[A-Z]+", param.metavar or str(param.name).upper())
            yield from ((w, _ARGUMENTS[w]) for w in words if w in _ARGUMENTS)


def _words_of(ctx: click.Context) -> str:
    """The words of a command; for a shortcut those of the full command."""
    words = ctx.command_path.split()[1:] or [_PROGRAM]
    if len(words) != 1:
        return " ".join(words)
    long_form: Callable[[str], str]
    long_form = getattr(ctx.find_root().command, "long_form", str)
    return long_form(words[0])


def topics() -> Dict[str, str]:
    """Return the topics, each with its first line."""
    files = sorted((_PAGES / "topics").glob("*.txt"))
    return {
        file.stem: file.read_text(encoding="utf-8").partition("\n")[0] for file in files
    }


def topic(name: str) -> str:
    """Return the text of a topic, with its generated tables."""
    text = (_PAGES / "topics" / f"{name}.txt").read_text(encoding="utf-8")
    lines: List[str] = []
    for line in text.rstrip("\n").split("\n"):
        table = (
            _TABLES.get(line.strip()[1:-1]) if line.strip().startswith("{") else None
        )
        lines += [line] if table is None else table()
    return "\n".join(lines)


def _align(rows: Mapping[str, str]) -> List[str]:
    formatter = click.HelpFormatter(width=79)
    formatter.indent()
    formatter.write_dl(list(rows.items()), col_max=34)
    return formatter.getvalue().rstrip("\n").split("\n")


def _exit_codes() -> List[str]:
    return _align({str(code): meaning for code, meaning in EXIT_CODES.items()})


def _states(name: str) -> Callable[[], List[str]]:
    def table() -> List[str]:
        from provctl.cli import status_words

        return _align(getattr(status_words, name))

    return table


def _config_keys() -> List[str]:
    import json

    from provctl.config.registry import KEYS

    rows = {}
    for key in KEYS:
        default = "not set" if key.default is None else json.dumps(key.default)
        rows[key.name] = f"{key.description.help}; default {default}"
    return _align(rows)


def _variables() -> List[str]:
    from provctl.config.registry import KEYS

    rows = {key.description.variable or key.variables[0]: key.name for key in KEYS}
    return _align(rows)


_TABLES: Dict[str, Callable[[], List[str]]] = {
    "exit-codes": _exit_codes,
    "run-statuses": _states("RUN_STATUSES"),
    "run-outcomes": _states("RUN_OUTCOMES"),
    "task-statuses": _states("TASK_STATUSES"),
    "task-outcomes": _states("TASK_OUTCOMES"),
    "config-keys": _config_keys,
    "variables": _variables,
}
