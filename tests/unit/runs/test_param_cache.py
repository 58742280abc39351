"""Parameters and tasks of a workflow, without evaluating it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provctl.runs.param_cache import params_of, remember_params, tasks_of
from tests.support.run_folders import state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.json", '{"params": {"zone": "é", "n": 2}, "tasks": {}}'),
        ("w.toml", '[params]\nzone = "é"\nn = 2\n'),
    ],
)
def test_parameters_of_plain_files_are_read(
    tmp_path: Path, name: str, text: str
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert params_of(tmp_path / "cache", file) == {"zone": '"é"', "n": "2"}
    remember_params(tmp_path / "cache", file, {"other": 1}, ())
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("text", ["[]", "{}", '{"params": 1}', '{"params": []}'])
def test_file_without_parameters_has_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "w.json"
    file.write_text(text, encoding="utf-8")
    assert params_of(tmp_path, file) == {}


def test_parameters_of_nickel_are_cached_after_an_evaluation(tmp_path: Path) -> None:
    cache, file = tmp_path / "cache", tmp_path / "w\té.ncl"
    assert params_of(cache, file) == {}
    remember_params(cache, file, {"zone": "a", "n": 7}, {"n": "7"})
    assert params_of(cache, file) == {"zone": '"a"', "n": ""}
    assert (cache / "params").stat().st_mode & 0o777 == 0o600
    remember_params(cache, file, {"zone": "secret", "n": 2}, {"zone": "secret"})
    assert params_of(cache, file) == {"zone": '"a"', "n": "2"}
    assert "secret" not in (cache / "params").read_text(encoding="ascii")
    remember_params(cache, file, {}, ())
    assert params_of(cache, file) == {}


def test_only_recently_loaded_files_are_kept(tmp_path: Path) -> None:
    for number in range(205):
        remember_params(tmp_path, tmp_path / f"{number}.ncl", {"a": number}, ())
    known = [bool(params_of(tmp_path, tmp_path / f"{n}.ncl")) for n in range(205)]
    assert known == [False] * 5 + [True] * 200


def test_tasks_are_those_of_the_run(tmp_path: Path) -> None:
    workflow = a_workflow(replace(task("a"), description="what it does"), task("b"))
    run = submit(state_folder(tmp_path), workflow)
    assert tasks_of(run) == [("a", "what it does"), ("b", "")]
    run.workflow.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="Expecting"):
        tasks_of(run)
