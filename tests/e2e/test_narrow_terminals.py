"""Tables and diagnostics fit the terminal; the name of a row is never cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from provctl.base.cell_width import width_of

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE = {"a": {"command": ["true"]}}
LONG = "a-workflow-of-a-long-name-that-goes-on"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_list_shows_a_run_in_one_line(provctl: Provctl, width: int) -> None:
    provctl("run", provctl.file(TRUE, LONG))
    provctl("run", provctl.file(TRUE, "日本" * 20))
    with provctl.terminal("ps", size=(40, width)) as terminal:
        assert terminal.wait() == 0
    lines = terminal.plain.splitlines()
    assert len(lines) == 3
    assert all(width_of(line) <= width for line in lines), lines
    assert {line.split()[0] for line in lines[1:]} == set(provctl.runs())
    assert (LONG in terminal.plain) is (width == 200)
    # The control: in a pipe all is there.
    assert LONG in provctl("ps").out


def test_long_last_column_is_wrapped(provctl: Provctl) -> None:
    why = " ".join(f"word{n}" for n in range(20))
    file = provctl.file({"a": {"command": [f"./{why}"]}})
    run = provctl("run", file, "-o", "name", code=10).out.strip()
    whole = provctl("status", run).out.splitlines()
    (reason,) = [line[line.index("failed ") :] for line in whole if why in line]
    with provctl.terminal("status", run, size=(40, 60)) as terminal:
        assert terminal.wait() == 0
    lines = terminal.plain.splitlines()
    assert all(len(line) <= 60 for line in lines)
    folded = " ".join(line[line.rindex("  ") :].strip() for line in lines[2:])
    assert reason.split()[-20:] == folded.split()[-20:]


@pytest.mark.parametrize("width", [60, 100])
def test_marks_are_below_the_marked_text(provctl: Provctl, width: int) -> None:
    tasks = '"a": {"command": ["true"]}, ' + f'"b": {{"command": ["{"x" * 150}"]}}, '
    wrong = '"c": {"needs": ["nope"], "command": ["true"]}'
    file = provctl.text("w.json", f'{{"tasks": {{{tasks}{wrong}}}}}')
    with provctl.terminal("workflow", "validate", file, size=(40, width)) as terminal:
        assert terminal.wait() == 50
    lines = terminal.plain.splitlines()
    at = next(n for n, line in enumerate(lines) if re.fullmatch(r" +\| +\^+", line))
    marks = lines[at]
    assert len(lines[at - 1]) <= width
    assert "nope" in lines[at - 1][marks.index("^") : marks.rindex("^") + 1]
