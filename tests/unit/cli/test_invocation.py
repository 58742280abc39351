"""Commands in hints mean the runs that this command was about, as a shell reads them."""

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


def test_without_flags_words_stay_as_they_are() -> None:
    assert called().program == "provctl"
    assert called().with_flags("see: provctl ps") == "see: provctl ps"


def test_each_command_gets_what_was_given() -> None:
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
def test_what_is_no_command_stays_as_it_is(words: str) -> None:
    assert called(state_dir="/s").with_flags(words) == words


@pytest.mark.parametrize("path", ["/a b", "/it's", "/$HOME", "/;rm -rf", "/\\1", "/é"])
def test_a_shell_reads_the_path_as_it_was(path: str) -> None:
    told = called(state_dir=path).with_flags("provctl ps -o name")
    assert shlex.split(told) == ["provctl", "--state-dir", path, "ps", "-o", "name"]


def test_the_last_one_counts() -> None:
    there = called(state_dir="/one")
    there.add_flag("--state-dir", "/two")
    assert there.program == "provctl --state-dir /two"


def test_commands_have_the_name_that_it_was_called_by() -> None:
    there = CommandLine(ABOUT_RUNS, "provisioning")
    assert there.with_flags("see: provctl ps") == "see: provisioning ps"
    assert there.with_flags("install provctl again") == "install provctl again"
    there.add_flag("--state-dir", "/s")
    assert there.with_flags("provctl ps") == "provisioning --state-dir /s ps"


def bare_commands(tree: ast.AST) -> Iterator[int]:
    """Lines where a command is printed as it stands in the source."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "echo":
            continue
        for part in (part for given in node.args for part in ast.walk(given)):
            text = part.value if isinstance(part, ast.Constant) else ""
            if isinstance(text, str) and any(
                f"provctl {verb} " in text for verb in ABOUT_RUNS
            ):
                yield node.lineno


def test_no_command_is_told_without_what_was_given() -> None:
    folder = Path(provctl.__file__).parent / "cli"
    found = [
        f"{file.name}:{line}"
        for file in sorted(folder.rglob("*.py"))
        for line in bare_commands(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_the_control_such_a_line_is_found() -> None:
    line = 'click.echo(f"help:  provctl attach {run}", err=True)'
    assert list(bare_commands(ast.parse(line))) == [1]
