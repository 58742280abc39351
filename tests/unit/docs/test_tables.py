"""Tables in the documentation match the code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Iterator, List, Type

import pytest
from click import Context

from provctl import errors
from provctl.cli.exit_codes import ENDS, EXIT_CODES
from provctl.cli.main import cli, workflow
from provctl.config.registry import KEYS
from provctl.workflow_files.schema import (
    KINDS,
    PolicyFields,
    TaskFields,
    WorkflowFields,
)
from tests.support.documents import page, section

if TYPE_CHECKING:
    from pydantic import BaseModel

# Codes that no class of the error tree and no outcome of a run has: success, a
# bug, the watcher's own timeout, a lost terminal, Ctrl-C and a closed pipe.
BESIDE_ERRORS = {0, 1, 124, 129, 130, 141, 143}


def tables(text: str) -> List[List[List[str]]]:
    """The rows of each table as lists of cells, without their headers."""
    blocks = re.findall(r"^\|.*\n\|[-|]+\n(?:\|.*\n)*", text, re.MULTILINE)
    return [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()[2:]
        ]
        for block in blocks
    ]


def fields(of: str) -> List[List[str]]:
    (rows,) = tables(section("workflow-files", f"Fields of a {of}"))
    return rows


def tree(kind: Type[errors.ProvctlError]) -> Iterator[Type[errors.ProvctlError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def test_configuration_table_lists_every_key_and_no_other() -> None:
    (rows,) = tables(page("configuration"))
    shown = [re.findall(r"`([\w.]+)`", names) for names, *_ in rows]
    assert shown == [list(key.spellings) for key in KEYS]


def test_exit_code_table_lists_every_code_and_no_other() -> None:
    (rows,) = tables(section("exit-codes", "Exit codes"))
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES
    raised = {kind.exit_code for kind in tree(errors.ProvctlError)}
    assert sorted(EXIT_CODES) == sorted(raised | set(ENDS.values()) | BESIDE_ERRORS)


@pytest.mark.parametrize(
    ("of", "model"), [("workflow", WorkflowFields), ("task", TaskFields)]
)
def test_field_table_lists_every_field_and_no_other(
    of: str, model: Type[BaseModel]
) -> None:
    rows = fields(of)
    shown = [name.strip("`") for name, _ in rows]
    known = [each.alias or name for name, each in model.model_fields.items()]
    assert sorted(shown) == sorted(known)


def test_four_kinds_of_task_are_listed_first() -> None:
    rows = fields("task")
    assert {name.strip("`") for name, _ in rows[:4]} == set(KINDS)


def test_fields_allowed_in_defaults_are_listed() -> None:
    rows = dict(fields("workflow"))
    shown = re.findall(r"`(\w+)`", rows["`defaults`"])
    assert sorted(shown) == sorted(PolicyFields.model_fields)


def test_command_table_lists_every_verb() -> None:
    text = " ".join(row[0] for row in tables(page("commands"))[0])
    shown = set(re.findall(r"\w+", text))
    for group in (cli, workflow):
        assert set(group.list_commands(Context(group))) <= shown
