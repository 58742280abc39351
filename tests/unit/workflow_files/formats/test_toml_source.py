"""TOML files: locations of every part, and syntax errors."""

from __future__ import annotations

from typing import Any, Tuple

import pytest

from provctl.errors import InvalidWorkflow
from provctl.workflow_files.formats.toml_source import read_toml
from provctl.workflow_files.problems import DocPath, ValidationIssue
from provctl.workflow_files.source_text import SourceText

TEXT = '''name = "x"   # comment [a]
params = { zone = "a", list = [1, 2.5,
   "x]", {a = 1}] }
[tasks.web]
command = ["true", 'é'] # c
retry.attempts = 3
script = """
[not.a.header]
x = 1"""
[tasks."b.c".retry]
delay = 07:32:00
[[more]]
needs = [
  "x",  # first
  "y",
]
[[more]]
id = "b"
[more.retry]
attempts = 1.5
'''


def marked(path: DocPath, *, on_key: bool = False) -> Tuple[int, str]:
    problem = ValidationIssue(path, "", on_key=on_key)
    (place,) = read_toml(SourceText("w.toml", TEXT)).places([problem])
    assert place is not None
    end = place.column - 1 + place.span
    return place.line, place.text[place.column - 1 : end]


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        (("name",), 1, '"x"'),
        (("params",), 2, '{ zone = "a", list = [1, 2.5,'),
        (("params", "list", 1), 2, "2.5"),
        (("params", "list", 2), 3, '"x]"'),
        (("params", "list", 3, "a"), 3, "1"),
        (("tasks",), 4, "tasks.web"),
        (("tasks", "web", "command", 1), 5, "'é'"),
        (("tasks", "web", "retry", "attempts"), 6, "3"),
        (("tasks", "web", "script"), 7, '"""'),
        (("tasks", "b.c", "retry", "delay"), 11, "07:32:00"),
        (("more", 0, "needs", 1), 15, '"y"'),
        (("more", 1, "id"), 18, '"b"'),
        (("more", 1, "retry", "attempts"), 20, "1.5"),
        (("more", 1, "gone"), 17, "more"),
    ],
)
def test_value_has_a_location(path: DocPath, line: int, text: str) -> None:
    assert marked(path) == (line, text)


def test_key_has_a_location() -> None:
    assert marked(("tasks", "web", "retry"), on_key=True) == (6, "retry")
    assert marked(("params", "zone"), on_key=True) == (2, "zone")


def test_every_part_of_the_document_has_a_location() -> None:
    document = read_toml(SourceText("w.toml", TEXT))
    work: Any = [((), document.value)]
    while work:
        path, value = work.pop()
        assert not path or document.places([ValidationIssue(path, "")]) != [None]
        parts = value if isinstance(value, dict) else {}
        if isinstance(value, list):
            parts = dict(enumerate(value))
        work.extend(((*path, name), part) for name, part in parts.items())


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a = ", 1, "invalid value"),
        ("a = 1\na = 2", 2, "cannot overwrite a value"),
        ("[a.b]\n[a.b]", 2, "duplicate key `a.b`"),
        ("\na = [1", 2, "unclosed array"),
        ("a = " + "[" * 5000, 1, "nested too deeply"),
        ("\n" + ".".join("a" * 101) + " = 1", 2, "nested too deeply"),
        ("a = 1\nb = " + "9" * 5000, 2, "too many digits"),
        ("\n".join(f"[{'.'.join('a' * n)}]" for n in (1, 101)), 2, "nested too deeply"),
    ],
)
def test_syntax_error_has_a_location(text: str, line: int, words: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        read_toml(SourceText("w.toml", text))
    (mistake,) = caught.value.mistakes
    assert mistake.line == line
    assert mistake.message.startswith("not TOML")
    assert words in mistake.message


def test_value_within_the_depth_limit_is_read() -> None:
    key = " . ".join(["a", '"b.c"', "'d'", *"e" * 47])
    text = f'{key} = "{"." * 200}" # {"." * 200}\nx = """\n{"." * 200}"""'
    value = read_toml(SourceText("w.toml", text)).value
    for _ in range(49):
        value = next(iter(value.values()))
    assert list(value.values()) == ["." * 200]


def test_inline_tables_with_long_keys_are_too_deep() -> None:
    # Twenty of them are as deep as may be.
    text = f"{'.'.join('a' * 50)} = {{" * 21 + "}" * 21
    with pytest.raises(InvalidWorkflow) as caught:
        read_toml(SourceText("w.toml", text))
    assert "nested too deeply" in caught.value.mistakes[0].message
