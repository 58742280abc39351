"""Owns the bench that executors are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

from provctl.executors.local import LocalExecutor
from tests.support.attempts import Bench, processes_with, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The executor of this machine; what it starts has to be gone in the end."""
    folder = tmp_path / "attempts"
    folder.mkdir()
    sign = f"BENCH={folder}"
    monkeypatch.setenv(*sign.split("="))
    bench = Bench(LocalExecutor, folder)
    yield bench
    bench.close()
    wait_until(lambda: not processes_with(sign), "no process is left")
