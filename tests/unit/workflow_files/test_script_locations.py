"""The line of the workflow file on which a script starts, if it is known."""

from __future__ import annotations

import json

import pytest

from provctl.workflow_files.script_locations import line_finder
from provctl.workflow_files.source_text import SourceText


def line_of(source: str, script: str) -> int:
    return line_finder(SourceText("w", source))(script)


NICKEL = """{
  tasks = {
    a = { script = m%"
      print "a"
      let x = [1 2]

      $x
    "% },
    b = { script = m%"
      print "a"
      let x = [1 2
    "% },
    c = { script = "print \\"é\\"" },
    d = { script = m%"
      # of %{name}
      let y = 3
    "% },
    e = { script = m%"print 5
      print 6"% },
  }
}
"""


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ('print "a"\nlet x = [1 2]\n\n$x', 4),
        ('print "a"\nlet x = [1 2', 10),
        ('print "é"', 13),
        ("# of web-1\nlet y = 3", 15),
        ("# of web-1\nlet y = 3\n", 15),
        ("print 5\nprint 6", 18),
        ("print 5", 18),
        # What is not there, or stands there twice, has no line.
        ("let y = 4", 0),
        ("let y = 3\nprint 5", 0),
        ('print "a"', 0),
    ],
)
def test_script_in_nickel_has_its_line(script: str, line: int) -> None:
    assert line_of(NICKEL, script) == line


def test_script_in_toml_has_its_line() -> None:
    source = 'name = "x"\n[tasks.a]\nscript = """\nprint 1\nprint 2\n"""\n'
    assert line_of(source, "print 1\nprint 2\n") == 4
    source = "[tasks.a]\nscript = '''print 1\nprint 2'''\n"
    assert line_of(source, "print 1\nprint 2") == 2


def test_script_with_lines_escaped_in_json_has_no_line() -> None:
    one, two = 'print "1"', "print 1\nprint 2"
    source = json.dumps(
        {"tasks": {"a": {"script": one}, "b": {"script": two}}}, indent=1
    )
    assert line_of(source, one) == 4
    assert line_of(source, two) == 0


def test_equal_scripts_have_no_line() -> None:
    source = 'script = """\nprint 1\nprint 2\n"""\n' * 2
    assert line_of(source, "print 1\nprint 2\n") == 0


def test_script_without_a_file_or_in_a_large_file_has_no_line() -> None:
    assert line_finder(None)("print 1") == 0
    source = "x" * 1_000_000
    find = line_finder(SourceText("w", f"{source}\nlast"))
    assert {find(f"print {n}") for n in range(200)} == {0}
    assert find("last") == 0
