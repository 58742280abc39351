"""The folder of an agent: its id, which agent serves a run, what is removed."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, List

import pytest

from provctl.executors.remote.agent_root import AgentRoot

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    made = tmp_path / "node"
    made.mkdir(mode=0o700)
    return made


def serve(root: AgentRoot, epoch: List[int]) -> str:
    return asyncio.run(root.serve("r1", epoch))


def test_a_folder_keeps_its_id_and_another_has_another(
    folder: Path, tmp_path: Path
) -> None:
    first = AgentRoot(folder).id
    assert AgentRoot(folder).id == first
    (tmp_path / "other").mkdir(mode=0o700)
    assert AgentRoot(tmp_path / "other").id != first


def test_a_later_owner_is_served_and_an_earlier_one_is_not(folder: Path) -> None:
    root = AgentRoot(folder)
    assert serve(root, [2, 1]) == ""
    assert serve(root, [2, 1]) == ""
    assert serve(root, [3, 1]) == ""
    assert "a later owner of the run" in serve(AgentRoot(folder), [2, 9])


def test_of_one_owner_the_later_connection_is_served(folder: Path) -> None:
    root = AgentRoot(folder)
    assert serve(root, [2, 5]) == ""
    root.release_idle(())
    assert "a later owner" in serve(AgentRoot(folder), [2, 4])


def test_what_is_old_and_known_to_its_owner_is_removed(folder: Path) -> None:
    root = AgentRoot(folder)
    for name, files in {
        "done": ["1.1.go"],
        "unknown": ["1.1.go", "1.1.log"],
        "new": ["1.1.go"],
    }.items():
        attempts = root.runs / name / "attempts"
        attempts.mkdir(parents=True, mode=0o700)
        attempts.parent.chmod(0o700)
        for each in files:
            (attempts / each).touch()
        if name != "new":
            os.utime(attempts, (1000.0, 1000.0))
    root.prune(2000.0)
    left = {path.name for path in root.runs.iterdir()}
    assert left == {"unknown", "new"}


def test_what_an_agent_serves_is_not_removed(folder: Path) -> None:
    root, other = AgentRoot(folder), AgentRoot(folder)
    assert serve(root, [1, 1]) == ""
    attempts = root.runs / "r1" / "attempts"
    attempts.mkdir(mode=0o700)
    os.utime(attempts, (1000.0, 1000.0))
    other.prune(2000.0)
    assert attempts.is_dir()
