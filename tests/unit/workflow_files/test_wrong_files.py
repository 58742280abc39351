"""JSON and TOML files with mistakes, and paths that are not files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from provctl.errors import InvalidWorkflow
from provctl.workflow_files.load import LoadContext, load_workflow
from tests.support.wrong_workflows import WRONG

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = LoadContext(cwd="/")


def mistakes_in(path: Path, **params: str) -> InvalidWorkflow:
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(path, params, context=CONTEXT)
    assert caught.value.exit_code == 50
    return caught.value


@pytest.mark.parametrize("suffix", ["json", "toml"])
@pytest.mark.parametrize("name", WRONG)
def test_every_mistake_has_its_location(tmp_path: Path, name: str, suffix: str) -> None:
    wrong = WRONG[name]
    path = tmp_path / f"w.{suffix}"
    path.write_text(wrong.files[suffix])
    error = mistakes_in(path, **wrong.params)
    assert len(error.mistakes) == len(wrong.said)
    for mistake, (line, marked, message, hint) in zip(error.mistakes, wrong.said):
        assert mistake.file == str(path)
        assert mistake.line == line
        assert mistake.source_line == wrong.files[suffix].split("\n")[line - 1]
        assert (
            mistake.source_line[mistake.column - 1 :]
            .lstrip('"')
            .startswith(marked.lstrip('"'))
        )
        assert message in mistake.message
        assert hint in mistake.hint


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("w.json", b"[1, 2]", "a workflow must be a record, not a list"),
        ("w.json", b"{}", "the workflow has no `tasks`"),
        ("w.json", b'"\xff"', "is not UTF-8 text: invalid byte in line 1"),
        ("w.yaml", b"", "is not a workflow file"),
        ("w", b"", "is not a workflow file"),
    ],
)
def test_file_that_cannot_be_a_workflow_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (mistake,) = mistakes_in(path).mistakes
    assert words in mistake.message
    assert mistake.file == str(path)


def test_size_of_a_file_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    (mistake,) = mistakes_in(path).mistakes
    assert mistake.message == "is larger than 16 MiB"


def test_special_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "w.json"
    os.mkfifo(fifo)
    folder = tmp_path / "d.toml"
    folder.mkdir()
    (tmp_path / "n.ncl").symlink_to("/dev/null")
    for path in (fifo, folder, tmp_path / "n.ncl"):
        (mistake,) = mistakes_in(path).mistakes
        assert mistake.message == "is not a regular file"


def test_unreadable_or_missing_file_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    (mistake,) = mistakes_in(loop).mistakes
    assert "cannot be read: Too many levels of symbolic links" in mistake.message
    (mistake,) = mistakes_in(tmp_path / "none.json").mistakes
    assert mistake.message == "cannot be read: No such file or directory"
    (mistake,) = mistakes_in(tmp_path / "a\0b.json").mistakes
    assert "cannot be read" in mistake.message
