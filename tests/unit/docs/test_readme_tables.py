"""The tables of the README say what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Type

import pytest
from click import Context

from provctl import errors
from provctl.cli.exit_codes import ENDS, EXIT_CODES
from provctl.cli.main import cli, workflow
from provctl.config.registry import markdown_table
from provctl.workflow_files.schema import (
    KINDS,
    PolicyFields,
    TaskFields,
    WorkflowFields,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")

# Codes that no class of the error tree and no outcome of a run has: success, a
# bug, the watcher's own timeout, a lost terminal, Ctrl-C and a closed pipe.
BESIDE_ERRORS = {0, 1, 124, 129, 130, 141, 143}


def section(heading: str) -> str:
    """What stands between a heading and the next one."""
    _, found, rest = README.partition(f"\n## {heading}\n")
    assert found, f"no section {heading!r}"
    return rest.partition("\n## ")[0]


def tables(text: str) -> List[List[List[str]]]:
    """The rows of each table, as lists of cells; without their heads."""
    blocks = re.findall(r"^\|.*\n\|[-|]+\n(?:\|.*\n)*", text, re.MULTILINE)
    return [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()[2:]
        ]
        for block in blocks
    ]


def tree(kind: Type[errors.ProvctlError]) -> Iterator[Type[errors.ProvctlError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def test_every_key_of_the_configuration_is_shown() -> None:
    assert markdown_table() in README, (
        "put this into the README:\n\n" + markdown_table()
    )


def test_every_exit_code_is_shown_and_no_other() -> None:
    (rows,) = tables(section("Exit codes"))
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES
    raised = {kind.exit_code for kind in tree(errors.ProvctlError)}
    assert sorted(EXIT_CODES) == sorted(raised | set(ENDS.values()) | BESIDE_ERRORS)


@pytest.mark.parametrize(
    ("place", "model"), [(0, WorkflowFields), (1, TaskFields)], ids=["workflow", "task"]
)
def test_every_field_is_shown_and_no_other(place: int, model: Type[BaseModel]) -> None:
    rows = tables(section("The workflow file"))[place]
    shown = [name.strip("`") for name, _ in rows]
    assert sorted(shown) == sorted(model.model_fields)


def test_the_four_kinds_of_task_come_first() -> None:
    rows = tables(section("The workflow file"))[1]
    assert {name.strip("`") for name, _ in rows[:4]} == set(KINDS)


def test_what_defaults_can_say_is_shown() -> None:
    rows = dict(tables(section("The workflow file"))[0])
    shown = re.findall(r"`(\w+)`", rows["`defaults`"])
    assert sorted(shown) == sorted(PolicyFields.model_fields)


def test_every_verb_is_shown() -> None:
    text = " ".join(row[0] for row in tables(section("Commands"))[0])
    shown = set(re.findall(r"\w+", text))
    for group in (cli, workflow):
        assert set(group.list_commands(Context(group))) <= shown
