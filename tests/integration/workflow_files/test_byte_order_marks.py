"""Workflow files, and what they import, may begin with a byte-order mark."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from provctl.errors import InvalidWorkflow
from provctl.workflow_files.load import LoadContext, load_workflow

if TYPE_CHECKING:
    from pathlib import Path

MARK = b"\xef\xbb\xbf"
CONTEXT = LoadContext(cwd="/")

FILES = {
    "w.ncl": '{ params.n | Number | default = 1, tasks = { a = { command = ["COMMAND"] } } }',
    "w.json": '{"params": {"n": 1}, "tasks": {"a": {"command": ["COMMAND"]}}}',
    "w.toml": 'params = { n = 1 }\ntasks.a.command = ["COMMAND"]',
}
if sys.version_info >= (3, 10):
    FILES["w.k"] = (
        'params = { n = option("n") }\ntasks = { a = { command = ["COMMAND"] } }'
    )


def load(path: Path, **params: str) -> Any:
    return load_workflow(path, params, context=CONTEXT)


def wrong(path: Path) -> Any:
    with pytest.raises(InvalidWorkflow) as caught:
        load(path)
    return [(m.file, m.line, m.column, m.source_line) for m in caught.value.mistakes]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "marked"])
def test_file_reads_the_same_with_and_without_a_mark(
    tmp_path: Path, name: str, mark: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(mark + FILES[name].replace("COMMAND", "true").encode())
    assert load(path, n="5").params == {"n": 5}
    # Its mistakes are at the same places, in the first line too.
    text = FILES[name].replace("command", "comand", 1)
    path.write_bytes(text.encode())
    plain = wrong(path)
    path.write_bytes(mark + text.encode())
    assert wrong(path) == plain
    assert all(place[0] == str(path) for place in plain)


@pytest.mark.parametrize("marked", [(), ("w", "t", "d", "u"), ("u",), ("d",)])
def test_imports_read_the_same_with_and_without_marks(
    tmp_path: Path, marked: Any
) -> None:
    files = {
        "w": (
            "w.ncl",
            'let p = import "provctl.ncl" in\n{ tasks = import "lib/t.ncl" }',
        ),
        "t": (
            "lib/t.ncl",
            '(import "d.json") & (import "../other/u.ncl")\n'
            '& { t.env.TEXT = import "t.txt" }',
        ),
        "d": ("lib/d.json", json.dumps({"d": {"command": ["true"]}})),
        "u": ("other/u.ncl", '{ u.command = ["true"], t.command = ["COMMAND"] }'),
        "x": ("lib/t.txt", "\ufeffa text"),
    }
    for key, (name, text) in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((MARK if key in marked else b"") + text.encode())
    workflow = load(tmp_path / "w.ncl")
    assert [task.id for task in workflow.tasks] == ["d", "t", "u"]
    assert workflow.tasks[1].env == {"TEXT": "\ufeffa text"}
    # A mistake of Nickel's, and one of ours, in the last file.
    last = tmp_path / "other/u.ncl"
    before = last.read_bytes()
    last.write_bytes(before.replace(b'["COMMAND"]', b'["COMMAND"'))
    assert wrong(tmp_path / "w.ncl")[0][:3] == (str(last), 1, 48)
    last.write_bytes(before.replace(b"t.command", b"t.comand"))
    assert (str(last), 1, 27) in [each[:3] for each in wrong(tmp_path / "w.ncl")]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_file_in_another_encoding_is_reported_as_such(
    tmp_path: Path, name: str, encoding: str
) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name].encode(encoding))
    with pytest.raises(InvalidWorkflow, match="is not UTF-8 text but UTF-16"):
        load(path)
