"""What is reported about attempts that finished while no process owned their run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict

import pytest

from provctl.core.engine import events as ev
from provctl.executors.local import exit_record
from provctl.runs.follow import Follower
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"status": 0, "exit_code": 3}, "finished with exit code 3, not yet recorded"),
        ({"status": 9, "signal": 9}, "finished with a signal, not yet recorded"),
        (
            {"problem": "cannot start nope: No such file or directory"},
            "never started, not yet recorded: cannot start nope: No such file or directory",
        ),
    ],
)
def test_outcome_of_an_unattended_attempt_comes_from_its_exit_record(
    tmp_path: Path, record: Dict[str, Any], said: str
) -> None:
    folder = submit(state_folder(tmp_path), a_workflow(task("a")))
    append(folder, [ev.AttemptStarted("r", 1000.0, "a", 1)])
    result = {"v": 1, "cause": "exit", "problem": "", "survivors": 0, **record}
    result.update(started_at=1000.0, finished_at=1001.0)
    folder.attempts.mkdir(exist_ok=True)
    file = os.open(str(folder.attempts / "0.1.go"), os.O_RDWR | os.O_CREAT, 0o600)
    exit_record.store(file, result)
    os.close(file)
    follower = Follower(folder)
    follower.read()
    assert follower.unattended() == {"a": said}
