"""Tasks are located in the file they came from, if it still contains them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from provctl.workflow_files.load import LoadContext
from provctl.workflow_files.task_locations import locate_tasks

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = LoadContext(cwd="/")
TRUE: List[str] = ["true"]


def lines(path: Path, *ids: str) -> Dict[str, int]:
    places = locate_tasks(path, {"zone": "a", "n": 3}, ids, context=CONTEXT)
    assert {place.file for place in places.values()} <= {str(path)}
    return {name: place.line for name, place in places.items()}


def written(folder: Path, value: Any, name: str = "w.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(value, indent=1))
    return path


def line_of(path: Path, text: str) -> int:
    found = [
        n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line
    ]
    return found[0]


def test_tasks_in_records_lists_and_nested_workflows_are_located(
    tmp_path: Path,
) -> None:
    inner = {"tasks": [{"id": "y", "command": TRUE}]}
    tasks = {"a": {"command": TRUE}, "b": {"workflow": inner}}
    path = written(tmp_path, {"params": {"zone": "", "n": 0}, "tasks": tasks})
    found = lines(path, "a", "b", "b/y", "b/z", "c", "a/b")
    assert found == {"a": line_of(path, '"a"'), "b": line_of(path, '"b"'),
                     "b/y": line_of(path, '"id": "y"') - 1}  # fmt: skip


def test_location_is_that_of_the_name(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text('{"tasks": {"a": {"command": ["true"]}}}')
    places = locate_tasks(path, {}, ["a"], context=CONTEXT)
    assert places["a"].column == 12


@pytest.mark.parametrize("text", ["{", "[]", '{"tasks": 3}', "{}"])
def test_changed_file_has_no_locations(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(text)
    assert lines(path, "a") == {}


def test_missing_file_has_no_locations(tmp_path: Path) -> None:
    assert lines(tmp_path / "w.json", "a") == {}
    assert lines(tmp_path / "w.txt", "a") == {}
