"""Hints in addition to a parser's message for files that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from provctl.errors import InvalidWorkflow
from provctl.workflow_files.formats.syntax_hints import nickel_hint, open_hint
from provctl.workflow_files.load import LoadContext, load_workflow
from provctl.workflow_files.source_text import SourceText

ROOT = Path(__file__).parents[3]
CONTEXT = LoadContext(cwd="/")

# What is wrong, the file, and the hint; FILE stands for its name. Without a hint,
# nothing is sure.
BROKEN: Dict[str, Tuple[str, str]] = {
    "a comma between tasks": (
        '{ tasks = {\n  a = { command = ["true"] }\n  b = { command = ["true"] },\n} }',
        "a `,` is missing after FILE:2:28",
    ),
    "a comma behind a text": (
        '{ name = "x"\n  tasks = {} }',
        "a `,` is missing after FILE:1:12",
    ),
    "a comma before a quoted key": (
        '{ tasks = {\n  "a" = { command = ["x"] }\n  "b-c" = { command = ["x"] } } }',
        "a `,` is missing after FILE:2:27",
    ),
    "a comma before a dotted key": (
        '{ tasks.a.command = ["x"]\n  tasks.b.command = ["x"] }',
        "a `,` is missing after FILE:1:25",
    ),
    "a comma between words": (
        '{ tasks.a.command = ["echo" "a"] }',
        "a `,` is missing after FILE:1:27",
    ),
    "a comma between words on two lines": (
        '{ tasks.a.command = [\n  "echo"\n  "a"\n] }',
        "a `,` is missing after FILE:2:8",
    ),
    "a comma between records of a list": (
        '{ tasks = [\n  { id = "a", command = ["x"] }\n  { id = "b" } ] }',
        "a `,` is missing after FILE:2:31",
    ),
    "a brace, by the lines": (
        '{\n  name = "x",\n  tasks = {\n    a = {\n      command = ["x"],\n'
        '    b = {\n      command = ["x"],\n    },\n  },\n}\n',
        "the `{` at FILE:4:9 is not closed",
    ),
    "a brace, at the end": (
        '{ name = "x",\n  tasks = { a = { command = ["x"] }\n',
        "the `{` at FILE:2:11 is not closed at the end of the file",
    ),
    "a brace in a comment": (
        '{ tasks = { a = { command = ["x"] # } }\n} }',
        "the `{` at FILE:1:1 is not closed at the end of the file",
    ),
    "a brace in a text": (
        '{ tasks = { a = { command = ["}"] }\n}',
        "the `{` at FILE:1:1 is not closed at the end of the file",
    ),
    "a bracket": (
        '{ tasks = { a = { command = ["x", "y" } } }',
        "the `[` at FILE:1:29 is not closed before the `}` at FILE:1:39",
    ),
    "a parenthesis": (
        "{ tasks = (std.array.map (fun x => x) [] }",
        "the `(` at FILE:1:11 is not closed before the `}` at FILE:1:42",
    ),
    "brackets that cross": (
        '{ tasks = { a = { command = ["x"} ] } }',
        "the `[` at FILE:1:29 is not closed before the `}` at FILE:1:33",
    ),
    "a text": (
        '{ name = "x,\n  tasks = { a = { command = ["x"] } } }',
        'the `"` at FILE:1:10 is not closed',
    ),
    "a text in a line with others": (
        '{ name = "x",\n  tasks = { a = { command = ["echo, "x"] } } }',
        'the `"` at FILE:2:30 is not closed',
    ),
    "a text behind one over two lines": (
        '{ description = "a\nb",\n  name = "x,\n  tasks = { a = { command = ["x"] } } }',
        "",
    ),
    "a block": (
        '{ tasks.a.script = m%"\n  print 1\n  "\n}',
        'the `m%"` at FILE:1:20 is not closed at the end of the file',
    ),
    "a block with more marks": (
        '{ tasks.a.script = m%%"\n  print 1\n  "%\n}',
        'the `m%%"` at FILE:1:20 is not closed at the end of the file',
    ),
    "a block before another one": (
        '{ tasks = {\n  a.script = m%"\n  print 1\n  ,\n  b.script = m%"\n  2\n  "% }',
        'the `m%"` at FILE:2:14 is not closed',
    ),
    "code in a text": (
        'let x = 1 in { name = "%{x", tasks = {} }',
        "the `%{` at FILE:1:24 is not closed",
    ),
    "a colon for a text": (
        '{ name: "x", tasks = {} }',
        "write `=` instead of the `:` at FILE:1:7",
    ),
    "a colon for a record": (
        '{ name = "x",\n  tasks: { a = { command = ["x"] } } }',
        "write `=` instead of the `:` at FILE:2:8",
    ),
    "a file in JSON": (
        '{ "name": "x", "tasks": {} }',
        "write `=` instead of the `:` at FILE:1:9",
    ),
    "two equals signs": ('{ name == "x", tasks = {} }', "write `=`: `==` compares"),
    "a semicolon": (
        '{ name = "x";\n  tasks = {} }',
        "write `,` instead of the `;` at FILE:1:13",
    ),
    "no value": (
        "{ name = , tasks = {} }",
        "the value after the `=` at FILE:1:8 is missing",
    ),
    "no in": (
        'let p = import "provctl.ncl"\n{ tasks = {} } | p.Workflow',
        "`in` is missing after the import at FILE:1:9",
    ),
    "no import": (
        "{ tasks = {} } | p.Workflow",
        'begin the file with: let p = import "provctl.ncl" in',
    ),
    "an import by another name": (
        'let q = import "provctl.ncl" in { tasks = {} } | p.Workflow',
        "the file imports provctl.ncl as `q`",
    ),
    "an arrow": (
        "let f = fun x -> x in { tasks = {} }",
        "write `=>` after the arguments of a function",
    ),
    "a comment of another language": (
        '{ name = "x", // a name\n  tasks = {} }',
        "comments begin with `#`",
    ),
    "a word of another language": (
        '{ tasks.a = { command = ["x"], idempotent = True } }',
        "write `true`",
    ),
    "a text in single quotes": (
        "{ tasks.a.command = ['echo'] }",
        'write strings in double quotes: "..."',
    ),
    # Nothing is sure: a `|` is missing, and no comma; a brace too many, or too few.
    "a field that is none": ('{ a | String default = "x", tasks = {} }', ""),
    "a brace too many": ('{ tasks = { a = { command = ["x"] } } } }', ""),
    "another name": ("{ tasks = {} } | q.Workflow", ""),
    "p as a field": ("{ tasks = { p = 1, a = p1 } }", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_hint_names_the_location(tmp_path: Path, name: str) -> None:
    text, hint = BROKEN[name]
    path = tmp_path / "w.ncl"
    path.write_text(text)
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(path, {}, context=CONTEXT)
    first, *others = caught.value.mistakes
    assert first.hint == hint.replace("FILE", str(path))
    assert first.message
    assert not [other for other in others if hint and other.hint == first.hint]


def test_enum_tags_are_not_taken_for_quoted_texts(tmp_path: Path) -> None:
    path = tmp_path / "w.ncl"
    path.write_text(
        "{ tasks.a = { script = m%\"print 'x'\"%, on_failure = 'continue,"
        " description = \"'y'\" } } # 'z'"
    )
    assert load_workflow(path, {}, context=CONTEXT).tasks[0].on_failure == "continue"


def test_hint_about_an_import_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "w.ncl").write_text('{ tasks = import "t.ncl" }')
    path = tmp_path / "t.ncl"
    path.write_bytes(b'\xef\xbb\xbf{ a = { command = ["x" } }')
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(tmp_path / "w.ncl", {}, context=CONTEXT)
    hint = caught.value.mistakes[0].hint
    assert (
        hint == f"the `[` at {path}:1:19 is not closed before the `}}` at {path}:1:24"
    )


def sound() -> List[Path]:
    return [*ROOT.glob("examples/**/*.ncl"), *ROOT.glob("provctl/**/*.ncl")]


@pytest.mark.parametrize("path", sound(), ids=lambda path: path.name)
@pytest.mark.parametrize(
    "message",
    ["unexpected token", "unexpected end of file", "unmatched closing"],
)
def test_valid_file_has_no_hint(path: Path, message: str) -> None:
    source = SourceText(str(path), path.read_text())
    places = range(0, len(source.text), max(1, len(source.text) // 50))
    assert {nickel_hint(source, at, message) for at in places} == {""}


@pytest.mark.parametrize("path", sound(), ids=lambda path: path.name)
def test_truncated_file_has_a_hint_about_what_is_not_closed(path: Path) -> None:
    text = path.read_text()
    for count in range(1, 40):
        end = len(text) * count // 40
        source = SourceText(path.name, text[:end])
        hint = nickel_hint(source, end, "unexpected end of file")
        assert not hint or "is not closed" in hint


def test_large_texts_are_scanned_in_time() -> None:
    for part in ('"', '{ a = "', 'm%"', "[", '%{"', "a = 1 "):
        source = SourceText("w.ncl", part * ((64 << 10) // len(part)))
        nickel_hint(source, 10, "unexpected end of file")


# The same of JSON and TOML.
OTHERS: Dict[str, Tuple[str, str, str]] = {
    "a comma at the end of a record": (
        "json",
        '{"tasks": {"a": {"command": ["x"],\n}}}',
        "remove the `,` at FILE:1:34: nothing follows it",
    ),
    "a comma at the end of a list": (
        "json",
        '{"tasks": {"a": {"command": ["x",]}}}',
        "remove the `,` at FILE:1:33: nothing follows it",
    ),
    "a brace, by the lines": (
        "json",
        '{\n  "tasks": {\n    "a": {\n      "command": ["x"],\n'
        '    "b": {\n      "command": ["x"]\n    }\n  }\n}\n',
        "the `{` at FILE:3:10 is not closed",
    ),
    "a brace": (
        "json",
        '{"tasks": {"a": {"command": ["x"]}}',
        "the `{` at FILE:1:1 is not closed at the end of the file",
    ),
    "a bracket": (
        "json",
        '{"tasks": {"a": {"command": ["x"}}}',
        "the `[` at FILE:1:29 is not closed before the `}` at FILE:1:33",
    ),
    "a text": (
        "json",
        '{"name": "x,\n"tasks": {"a": {"command": ["x"]}}}',
        'the `"` at FILE:1:10 is not closed',
    ),
    "a comment": ("json", '{"tasks": {} // x\n}', "JSON does not allow comments"),
    "a text in other quotes": (
        "json",
        "{'tasks': {}}",
        "strings must be in double quotes",
    ),
    "a comma between, which the message names": (
        "json",
        '{"name": "x" "tasks": {}}',
        "",
    ),
    "a list in TOML": (
        "toml",
        '[tasks.a]\ncommand = ["x",\n\n[tasks.b]\ncommand = ["x"]\n',
        "the `[` at FILE:2:11 is not closed at the end of the file",
    ),
    "a record in TOML": (
        "toml",
        'tasks.a = { command = ["x"]\n',
        "the `{` at FILE:1:11 is not closed at the end of the file",
    ),
    "a text in TOML": (
        "toml",
        'name = "x\n[tasks.a]\ncommand = ["x"]\n',
        'the `"` at FILE:1:8 is not closed',
    ),
    "a text that is one in TOML only": (
        "toml",
        'name = \'"\'\ntasks.a = { command = ["x"]\n',
        "",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_have_hints(tmp_path: Path, name: str) -> None:
    suffix, text, hint = OTHERS[name]
    path = tmp_path / f"w.{suffix}"
    path.write_text(text)
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(path, {}, context=CONTEXT)
    assert caught.value.mistakes[0].hint == hint.replace("FILE", str(path))


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("examples/**/*.json"), *ROOT.glob("examples/**/*.toml")],
    ids=lambda path: path.name,
)
def test_valid_files_of_other_formats_have_no_hint(path: Path) -> None:
    assert open_hint(SourceText(str(path), path.read_text())) == ""
