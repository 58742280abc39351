"""Owns the bench that executors are tried on."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Iterator, List

import pytest

from provctl.executors.base import MARK
from provctl.executors.local import LocalExecutor
from tests.support.attempts import Bench, processes_with, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The executor of this machine; what it starts has to be gone in the end."""
    folder = tmp_path / "attempts"
    folder.mkdir()
    monkeypatch.setenv("BENCH", str(folder))
    bench = Bench(LocalExecutor, folder)
    signs = (f"BENCH={folder}", f"{MARK}={bench.run_id}/")

    def left() -> List[int]:
        return [pid for sign in signs for pid in processes_with(sign)]

    try:
        yield bench
        bench.close()
        wait_until(lambda: not left(), "no process is left", within_s=5)
    finally:
        for pid in left():
            os.kill(pid, signal.SIGKILL)
