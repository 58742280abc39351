"""The fake executor runs nothing and records its calls as words."""

from __future__ import annotations

from pathlib import Path

from provctl.executors.protocol import AttemptRef, Executor
from tests.support.fake_executor import FakeExecutor


def test_fake_executor_records_its_calls() -> None:
    fake = FakeExecutor()
    executor: Executor = fake
    executor.start(lambda reports: None)
    task = AttemptRef("r", "a", 1, Path("nowhere"), 0)
    undo = AttemptRef("r", "a", 2, Path("nowhere"), 0, "undo")
    executor.suspend(task)
    executor.resume(task)
    executor.suspend(undo)
    executor.stop(undo, now=True)
    assert fake.said() == ["freeze a", "thaw a", "freeze a.2u", "stop a.2u now"]
