"""Error messages of Nushell without the drawing around them."""

from __future__ import annotations

from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.nushell.error_summary import error_summary

COLUMN = """\
hello
Error: nu::shell::column_not_found

  x Cannot find column 'bb'
   ,-[/state/runs/k3/attempts/1.1.in:4:1]
 3 | print hello
 4 | $r.bb
   : ^| ^|
   :  |  `-- column 'bb' is missing in one or more values
   :  `-- value originates here
   `----
  help: If some rows have this column, try using 'bb?' for optional access, or
        pre-fill using the `default` command

bye
"""

UNICODE = """\
Error: nu::shell::io::connection_refused

  \u00d7 I/O error
   ╭─[/lib/servers/create.nu:12:1]
 12 │ http get http://127.0.0.1:1/x
    · ────┬───
    ·     ╰── Connection refused
    ╰────
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            COLUMN,
            [
                "hello",
                "Cannot find column 'bb': column 'bb' is missing in one or more values;"
                " value originates here (line 4)",
                "help: If some rows have this column, try using 'bb?' for optional"
                " access, or pre-fill using the `default` command",
                "bye",
            ],
        ),
        (UNICODE, ["I/O error: Connection refused (/lib/servers/create.nu:12)"]),
        ("Error: \n", ["Error: "]),
        ("Error: nu::x\nno report\n", ["Error: nu::x", "no report"]),
        ("Error: something else\n  x y\n", ["Error: something else", "  x y"]),
        ("", []),
    ],
)
def test_summary_has_the_message_of_the_error(log: str, told: List[str]) -> None:
    assert error_summary(log.splitlines()) == told


@given(
    st.lists(
        st.sampled_from([*COLUMN.splitlines(), *UNICODE.splitlines(), "Error: ", "x"])
    )
)
def test_summary_has_at_most_as_many_lines_as_its_input(lines: List[str]) -> None:
    told = error_summary(lines)
    assert len(told) <= len(lines)
    if not any(line.startswith("Error: ") for line in lines):
        assert told == lines
