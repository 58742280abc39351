"""Commands in hints refer to the runs of this command, quoted for a shell."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import Iterator

import pytest

import provctl
from provctl.cli.invocation import CommandLine
from provctl.cli.main import ABOUT_RUNS


def called(**flags: str) -> CommandLine:
    there = CommandLine(ABOUT_RUNS)
    for flag, path in flags.items():
        there.add_flag(f"--{flag.replace('_', '-')}", path)
    return there


def test_hint_is_unchanged_without_flags() -> None:
    assert called().program == "provctl"
    assert called().with_flags("see: provctl ps") == "see: provctl ps"


def test_each_command_in_a_hint_gets_the_given_flags() -> None:
    told = called(state_dir="/tmp/a b", config="/c.toml").with_flags(
        "start a scheduler: provctl scheduler start; or continue it: provctl resume RUN;"
        " provctl help recovery"
    )
    given = "--state-dir '/tmp/a b' --config /c.toml"
    assert told == (
        f"start a scheduler: provctl {given} scheduler start; or continue it: provctl {given} resume RUN;"
        " provctl help recovery"
    )


@pytest.mark.parametrize(
    "words",
    [
        "take a library and a provctl that fit",
        "install provctl again with pip",
        "pip install 'provctl[kcl]'",
        "cp provctl.toml /etc",
    ],
)
def test_text_that_is_no_command_is_unchanged(words: str) -> None:
    assert called(state_dir="/s").with_flags(words) == words


@pytest.mark.parametrize("path", ["/a b", "/it's", "/$HOME", "/;rm -rf", "/\\1", "/é"])
def test_shell_reads_the_quoted_path(path: str) -> None:
    told = called(state_dir=path).with_flags("provctl ps -o name")
    assert shlex.split(told) == ["provctl", "--state-dir", path, "ps", "-o", "name"]


def test_last_value_of_a_flag_is_used() -> None:
    there = called(state_dir="/one")
    there.add_flag("--state-dir", "/two")
    assert there.program == "provctl --state-dir /two"


def test_commands_in_hints_use_the_called_program_name() -> None:
    there = CommandLine(ABOUT_RUNS, "provisioning")
    assert there.with_flags("see: provctl ps") == "see: provisioning ps"
    assert there.with_flags("install provctl again") == "install provctl again"
    there.add_flag("--state-dir", "/s")
    assert there.with_flags("provctl ps") == "provisioning --state-dir /s ps"


def bare_commands(tree: ast.AST) -> Iterator[int]:
    """Lines in which a command is printed as written in the source."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "echo":
            continue
        for part in (part for given in node.args for part in ast.walk(given)):
            text = part.value if isinstance(part, ast.Constant) else ""
            if isinstance(text, str) and any(
                f"provctl {verb} " in text for verb in ABOUT_RUNS
            ):
                yield node.lineno


def test_no_hint_in_the_code_leaves_out_the_flags() -> None:
    folder = Path(provctl.__file__).parent / "cli"
    found = [
        f"{file.name}:{line}"
        for file in sorted(folder.rglob("*.py"))
        for line in bare_commands(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_control_hint_without_flags_is_found() -> None:
    line = 'click.echo(f"help:  provctl attach {run}", err=True)'
    assert list(bare_commands(ast.parse(line))) == [1]
