"""Every command named in a document or in a hint exists."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Dict, Iterator, List, Set, Tuple

import pytest
from click import Command, Context, Group

from provctl.cli.main import cli
from tests.support.documents import DOCUMENTS, ROOT, spans

# Words that begin like a command and are none: why.
NO_COMMANDS: Dict[str, str] = {
    "provctl COMMAND --help": "stands for any command",
    "provctl NOUN VERB": "stands for the commands of a library",
    "provctl server --help": "of the library of the examples",
    "provctl load-config": "of the Nushell module provctl.nu",
    'provctl = "^0.1"': "a line of versions.toml",
}
_BEHIND = re.compile(r" (?:[|><;]|&&)")  # what a shell does with it
_WITHIN = re.compile(r"\$\((provctl [^)]+)\)")  # of a longer line of a shell
# In a hint: words of lower case and what stands for something, up to a sentence's end.
_HINT = re.compile(r"provctl(?: (?:--?[a-z][a-z-]*|@?[a-z][a-z-]*|[A-Z]+))+")


def named_in_documents() -> List[str]:
    """Commands within sentences, and those inside a shell line."""
    found: Set[str] = set()
    for name, text in DOCUMENTS.items():
        found.update(span for span in spans(name) if span.startswith("provctl "))
        found.update(_WITHIN.findall(text))
    return sorted(found)


def named_in_hints() -> List[str]:
    """Commands in texts of the code that start a hint, or are a whole one."""
    found: Set[str] = set()
    for module in sorted((ROOT / "provctl").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(_said(node.value))
    return sorted(found)


def _said(text: str) -> Iterator[str]:
    for start in (": ", "see: "):
        if text.startswith("provctl ") or start in text:
            for match in re.finditer(rf"(?:^|{start})({_HINT.pattern})", text):
                yield match.group(1)


def resolved(command: str) -> Tuple[Command, List[str]]:
    """The command, and the words after its name."""
    alone = _BEHIND.split(command)[0].replace("...", "")
    words = [word.strip("[].") for word in shlex.split(alone)][1:]
    found: Command = cli
    while isinstance(found, Group) and words and not words[0].startswith("-"):
        inner = found.get_command(Context(found), words[0])
        assert inner is not None, f"{command}: there is no {words[0]}"
        found, words = inner, words[1:]
    return found, words


@pytest.mark.parametrize("command", sorted({*named_in_documents()} - {*NO_COMMANDS}))
def test_command_in_a_document_exists(command: str) -> None:
    check(command)


@pytest.mark.parametrize("command", named_in_hints())
def test_command_in_a_hint_exists(command: str) -> None:
    check(command)


def check(command: str) -> None:
    found, words = resolved(command)
    options = {word for param in found.params for word in param.opts} | {"--help"}
    asked = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert asked <= options, f"{command}: {asked - options}"


def test_control_wrong_commands_in_hints_are_found() -> None:
    assert "provctl list" in named_in_hints()
    for wrong in ("provctl workflow lits", "provctl run --fast"):
        with pytest.raises(AssertionError):
            check(wrong)


def test_listed_exceptions_are_still_in_a_document() -> None:
    assert {*named_in_documents()} >= {*NO_COMMANDS}
